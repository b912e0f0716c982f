use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn row(text: &str) -> Row {
    Row::from_copy_text(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn change(timestamp_ms: u64, diff: i64, text: &str) -> Update {
    Update::Change {
        timestamp_ms,
        diff,
        row: row(text),
    }
}

fn progress(timestamp_ms: u64) -> Update {
    Update::Progress { timestamp_ms }
}

fn frame(timestamp_ms: u64, deleted: &[&str], inserted: &[&str]) -> Frame {
    Frame {
        timestamp_ms,
        deleted: deleted.iter().map(|text| row(text)).collect(),
        inserted: inserted.iter().map(|text| row(text)).collect(),
    }
}

fn feed(reducer: &mut Reducer, updates: &[Update]) -> Result<Vec<Frame>, ReduceError> {
    let mut frames = Vec::new();
    for update in updates {
        reducer.update(update.clone())?;
        while let Some(frame) = reducer.next_frame()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

/// What a client holds that applies frames and knows nothing else.
fn fold(frames: &[Frame]) -> BTreeMap<Row, NonZeroU64> {
    let mut counts: BTreeMap<Row, i64> = BTreeMap::new();
    for frame in frames {
        for row in &frame.deleted {
            *counts.entry(row.clone()).or_default() -= 1;
        }
        for row in &frame.inserted {
            *counts.entry(row.clone()).or_default() += 1;
        }
        assert!(counts.values().all(|count| *count >= 0));
    }
    let there = |(row, count)| Some((row, NonZeroU64::new(u64::try_from(count).ok()?)?));
    counts.into_iter().filter_map(there).collect()
}

#[test]
fn a_current_engine_names_the_time_of_the_snapshot_first() {
    let mut reducer = Reducer::default();
    let updates = [
        progress(508),
        change(508, 1, "bob\t1"),
        change(508, 1, "alice\t2"),
        progress(509),
        progress(1205),
        change(4413, 1, "alice\t3"),
        change(4413, -1, "alice\t2"),
        progress(4414),
    ];
    let expected = [
        frame(508, &[], &["alice\t2", "bob\t1"]),
        frame(4413, &["alice\t2"], &["alice\t3"]),
    ];
    assert_eq!(feed(&mut reducer, &updates).unwrap(), expected);
    assert_eq!(reducer.state().timestamp_ms, 4413);
}

#[test]
fn the_old_line_sends_the_snapshot_first() {
    let mut reducer = Reducer::default();
    let updates = [
        change(999, 1, "a\t1"),
        progress(1000),
        progress(2000),
        change(2000, -1, "a\t1"),
        change(2000, 1, "a\t2"),
        progress(3000),
    ];
    let expected = [
        frame(999, &[], &["a\t1"]),
        frame(2000, &["a\t1"], &["a\t2"]),
    ];
    assert_eq!(feed(&mut reducer, &updates).unwrap(), expected);
}

#[test]
fn an_empty_snapshot_is_a_frame_and_what_changes_nothing_is_none() {
    let mut reducer = Reducer::default();
    let updates = [
        progress(1),
        change(5, 1, "a"),
        progress(9),
        change(9, 1, "b"),
        change(9, -1, "b"),
        progress(10),
    ];
    let expected = [frame(1, &[], &[]), frame(5, &[], &["a"])];
    assert_eq!(feed(&mut reducer, &updates).unwrap(), expected);
}

#[test]
fn equal_rows_count() {
    let mut reducer = Reducer::default();
    let updates = [
        change(1, 3, "a"),
        progress(2),
        change(2, -2, "a"),
        progress(3),
    ];
    let expected = [frame(1, &[], &["a", "a", "a"]), frame(2, &["a", "a"], &[])];
    assert_eq!(feed(&mut reducer, &updates).unwrap(), expected);
    assert_eq!(reducer.state().rows[&row("a")].get(), 1);
}

#[test]
fn a_new_stream_tells_only_the_net_difference() {
    let mut reducer = Reducer::default();
    feed(
        &mut reducer,
        &[change(1, 1, "a"), change(1, 2, "b"), progress(2)],
    )
    .unwrap();
    feed(&mut reducer, &[change(2, 1, "never closed")]).unwrap();
    reducer.restart();
    let again = [
        progress(7),
        change(7, 1, "b"),
        change(7, 1, "c"),
        progress(8),
    ];
    assert_eq!(
        feed(&mut reducer, &again).unwrap(),
        [frame(7, &["a", "b"], &["c"])]
    );
    reducer.restart();
    assert_eq!(
        feed(
            &mut reducer,
            &[
                progress(9),
                change(9, 1, "b"),
                change(9, 1, "c"),
                progress(10)
            ]
        )
        .unwrap(),
        [frame(9, &[], &[])]
    );
    assert_eq!(reducer.state().timestamp_ms, 9);
}

#[test]
fn what_cannot_be_is_an_error_that_names_the_row() {
    let table: [(&[Update], &str); 5] = [
        (
            &[change(1, -1, "ann\t7"), progress(2)],
            r#"the row "ann\t7" would be there -1 times at 1"#,
        ),
        (
            &[progress(1), progress(2), change(2, -1, "ann"), progress(3)],
            r#"the row "ann" would be there -1 times at 2"#,
        ),
        (
            &[progress(5), change(4, 1, "ann")],
            r#"an update of the row "ann" at 4, though 5 is closed"#,
        ),
        (
            &[progress(5), progress(4)],
            "time runs backwards: progress to 4 after 5",
        ),
        (
            &[change(1, i64::MAX, "ann"), progress(2)],
            "the view holds more than 5000000 rows",
        ),
    ];
    for (updates, message) in table {
        let error = feed(&mut Reducer::default(), updates).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn an_error_leaves_the_state_of_the_last_frame() {
    let mut reducer = Reducer::default();
    feed(&mut reducer, &[change(1, 1, "a"), progress(2)]).unwrap();
    let before = reducer.state().clone();
    feed(
        &mut reducer,
        &[change(2, 1, "b"), change(2, -2, "a"), progress(3)],
    )
    .unwrap_err();
    assert_eq!(*reducer.state(), before);
}

/// Histories that an engine could tell: at each time some rows come and some of those that are there go.
fn histories() -> impl Strategy<Value = Vec<Vec<(u8, i64)>>> {
    let step = prop::collection::vec((0u8..6, -3i64..4), 0..6);
    prop::collection::vec(step, 1..8).prop_map(|steps| {
        let mut counts = [0i64; 6];
        for_each_step(steps, &mut counts)
    })
}

fn for_each_step(steps: Vec<Vec<(u8, i64)>>, counts: &mut [i64; 6]) -> Vec<Vec<(u8, i64)>> {
    let mut history = Vec::new();
    for step in steps {
        let mut changes = Vec::new();
        for (row, diff) in step {
            let count = &mut counts[usize::from(row)];
            let diff = diff.max(-*count);
            *count += diff;
            changes.push((row, diff));
        }
        history.push(changes);
    }
    history
}

proptest! {
    #[test]
    fn frames_fold_to_the_state_in_whatever_order_a_times_updates_come(
        history in histories(),
        seed in any::<u64>(),
        progress_every in 1usize..4,
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut straight = Reducer::default();
        let mut shuffled = Reducer::default();
        let mut told = [feed(&mut straight, &[progress(1)]).unwrap(), feed(&mut shuffled, &[progress(1)]).unwrap()];
        let mut counts = [0i64; 6];
        for (at, changes) in history.iter().enumerate() {
            let time = at as u64 + 1;
            let mut updates: Vec<Update> = changes
                .iter()
                .map(|(row, diff)| change(time, *diff, &row.to_string()))
                .collect();
            changes.iter().for_each(|(row, diff)| counts[usize::from(*row)] += diff);
            told[0].extend(feed(&mut straight, &updates).unwrap());
            told[0].extend(feed(&mut straight, &[progress(time + 1)]).unwrap());
            random.shuffle(&mut updates);
            told[1].extend(feed(&mut shuffled, &updates).unwrap());
            if at % progress_every == 0 {
                told[1].extend(feed(&mut shuffled, &[progress(time + 1)]).unwrap());
            }
            prop_assert_eq!(fold(&told[0]), straight.state().rows.as_ref().clone());
        }
        told[1].extend(feed(&mut shuffled, &[progress(1000)]).unwrap());
        prop_assert_eq!(&told[0], &told[1]);
        prop_assert_eq!(fold(&told[1]), shuffled.state().rows.as_ref().clone());
        let expected: BTreeMap<Row, NonZeroU64> = (0u8..6)
            .filter_map(|at| Some((row(&at.to_string()), NonZeroU64::new(counts[usize::from(at)] as u64)?)))
            .collect();
        prop_assert_eq!(shuffled.state().rows.as_ref(), &expected);
    }
}
