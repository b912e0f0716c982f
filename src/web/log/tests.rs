//! What a client of one view gets next: single cases here, the property that all else serves beside them.

mod property;

use bytes::Bytes;

use super::*;
use crate::core::frame::Row;

fn columns(texts: bool) -> Arc<[Column]> {
    let column = |name: &str, ty: &str| Column {
        name: name.into(),
        ty: ty.into(),
    };
    let count = if texts { "text" } else { "bigint" };
    [column("user", "text"), column("count", count)].into()
}

fn row(key: u8) -> Row {
    Row::from_copy_text(Bytes::from(format!("user {key}\t{key}"))).unwrap()
}

fn log(frames_max: usize, rows: usize) -> Log {
    let mut log = Log::new(
        "v",
        Bounds {
            frames_max,
            rows_max: 1000,
            fresh_rows_max: 1000,
        },
        Counter::default(),
    );
    log.opened(&columns(false));
    let inserted = (0..rows)
        .map(|key| row(u8::try_from(key).unwrap()))
        .collect();
    log.push(Arc::new(Frame {
        timestamp_ms: 1,
        deleted: Vec::new(),
        inserted,
    }));
    log
}

/// Replaces one row by another.
fn replace(log: &mut Log, timestamp_ms: u64, deleted: u8, inserted: u8) {
    let (deleted, inserted) = (vec![row(deleted)], vec![row(inserted)]);
    log.push(Arc::new(Frame {
        timestamp_ms,
        deleted,
        inserted,
    }));
}

fn sent(log: &mut Log, cursor: &mut Cursor) -> (String, u64) {
    match log.next(cursor) {
        Step::Send(message) => (message.text.trim_end().to_owned(), message.frames),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_that_keeps_up_shares_its_text_with_all_others() {
    let mut log = log(10, 2);
    let mut cursors = [
        Cursor::new(Form::Plain, Held::Nothing),
        Cursor::new(Form::Events, Held::FromNow),
    ];
    for cursor in &mut cursors {
        log.next(cursor);
    }
    replace(&mut log, 2, 0, 9);
    let texts = cursors.map(|mut cursor| match log.next(&mut cursor) {
        Step::Send(message) => message.text.as_str().as_ptr(),
        other => panic!("{other:?}"),
    });
    assert_eq!(texts[0], texts[1]);
    assert_eq!(log.serialised.get(), 2, "the snapshot and the frame");
}

#[test]
fn a_slow_client_gets_what_is_smaller_but_a_plain_one_the_difference_while_it_can() {
    let mut log = log(10, 1);
    let mut plain = Cursor::new(Form::Plain, Held::Nothing);
    let mut named = Cursor::new(Form::Named, Held::Nothing);
    sent(&mut log, &mut plain);
    sent(&mut log, &mut named);
    replace(&mut log, 2, 0, 1);
    replace(&mut log, 3, 1, 2);
    let (text, frames) = sent(&mut log, &mut plain);
    assert_eq!(
        text,
        r#"{"deleted":[["user 0",0]],"inserted":[["user 2",2]],"timestamp":3}"#
    );
    assert_eq!(frames, 2);
    let (text, frames) = sent(&mut log, &mut named);
    assert!(
        text.contains(r#""inserted":[["user 2",2]],"timestamp":3,"snapshot":true"#),
        "{text}"
    );
    assert_eq!(frames, 0);
}

#[test]
fn a_client_behind_the_oldest_frame_gets_a_marked_snapshot() {
    let mut log = log(2, 1);
    let mut cursor = Cursor::new(Form::Plain, Held::Nothing);
    sent(&mut log, &mut cursor);
    for time in 2..5 {
        replace(
            &mut log,
            time,
            u8::try_from(time - 2).unwrap(),
            u8::try_from(time - 1).unwrap(),
        );
    }
    let (text, _) = sent(&mut log, &mut cursor);
    assert_eq!(
        text,
        r#"{"deleted":[],"inserted":[["user 3",3]],"timestamp":4,"snapshot":true}"#
    );
}

#[test]
fn a_large_snapshot_is_made_once_while_its_frames_are_kept() {
    let bounds = Bounds {
        frames_max: 3,
        rows_max: 1000,
        fresh_rows_max: 2,
    };
    let mut log = Log::new("v", bounds, Counter::default());
    log.opened(&columns(false));
    let inserted = (0..4).map(row).collect();
    log.push(Arc::new(Frame {
        timestamp_ms: 1,
        deleted: Vec::new(),
        inserted,
    }));
    let come = |log: &mut Log| {
        let mut cursor = Cursor::new(Form::Plain, Held::Nothing);
        let first = log.next(&mut cursor);
        let Step::Send(first) = first else {
            panic!("{first:?}")
        };
        (
            first.text.as_str().as_ptr(),
            first.timestamp_ms,
            log.next(&mut cursor),
        )
    };
    let (text, time, then) = come(&mut log);
    assert_eq!((time, then), (Some(1), Step::Idle));
    for time in 2..5 {
        let key = u8::try_from(time).unwrap();
        replace(&mut log, time, key - 2, key + 2);
        let (again, from, then) = come(&mut log);
        assert_eq!((again, from), (text, Some(1)));
        assert!(matches!(then, Step::Send(Message { timestamp_ms: Some(at), .. }) if at == time));
    }
    replace(&mut log, 5, 3, 7);
    assert_eq!(come(&mut log).1, Some(5), "its frames are gone");
}

#[test]
fn what_cancels_out_is_not_told() {
    let mut log = log(10, 1);
    let mut cursor = Cursor::new(Form::Plain, Held::Nothing);
    sent(&mut log, &mut cursor);
    replace(&mut log, 2, 0, 1);
    replace(&mut log, 3, 1, 0);
    assert_eq!(log.next(&mut cursor), Step::Idle);
}

#[test]
fn a_client_that_comes_back_goes_on_where_it_was() {
    let mut log = log(2, 5);
    replace(&mut log, 2, 0, 7);
    replace(&mut log, 3, 1, 8);
    let at = |log: &mut Log, time| sent(log, &mut Cursor::new(Form::Events, Held::At(time))).0;
    assert_eq!(
        at(&mut log, 2),
        r#"{"deleted":[["user 1",1]],"inserted":[["user 8",8]],"timestamp":3}"#
    );
    assert_eq!(
        at(&mut log, 1),
        r#"{"deleted":[["user 0",0],["user 1",1]],"inserted":[["user 7",7],["user 8",8]],"timestamp":3}"#
    );
    let here = Cursor::new(Form::Events, Held::At(3));
    assert_eq!(log.next(&mut here.clone()), Step::Idle);
    replace(&mut log, 4, 2, 9);
    for unknown in [1, 99] {
        assert!(
            at(&mut log, unknown).contains("\"snapshot\":true"),
            "{unknown}"
        );
    }
}

#[test]
fn the_end_of_a_view_is_the_last_word() {
    let mut log = log(10, 1);
    let failure = Failure {
        kind: FailureKind::Refused,
        reason: "dropped".into(),
    };
    log.failed(failure.clone());
    assert_eq!(
        log.next(&mut Cursor::new(Form::Plain, Held::Nothing)),
        Step::Failed(failure.clone())
    );
    assert_eq!(log.readiness(), Readiness::Failed(failure));
}
