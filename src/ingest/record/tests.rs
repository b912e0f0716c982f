use bytes::Bytes;

use super::*;
use crate::ingest::batch::Entry;
use crate::ingest::seen;

fn change(number: u32, dt_ms: i64) -> Entry {
    let dt = Timestamp::from_millisecond(dt_ms).unwrap();
    let id = format!("id-{number}");
    let json = format!(
        r#"{{"meta":{{"id":"{id}","dt":"{dt}","topic":"eqiad.x","partition":0,"offset":{number}}},"type":"edit"}}"#
    );
    Entry {
        key: Some(seen::key(&id)),
        dt_ms: Some(dt_ms),
        json: Bytes::from(json),
    }
}

fn config(folder: &tempfile::TempDir, rotate: Option<Rotate>) -> Config {
    Config {
        path: folder.path().join("recentchanges"),
        rotate,
    }
}

async fn record(config: &Config, entries: impl IntoIterator<Item = Entry>) -> Sent {
    let recorder = Recorder::open(config.clone()).await.unwrap();
    let (recorder, _, sent) = recorder.send(entries.into_iter().collect()).await;
    recorder.close().await.unwrap();
    sent.unwrap()
}

const START_MS: i64 = 1_785_900_000_000;

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_the_file_says_how_far_it_reaches() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, None);
    record(&config, [change(1, START_MS), change(2, START_MS + 5)]).await;
    let whole = std::fs::read(&config.path).unwrap();
    for torn in ["d", "data: {\"meta\":", "\0\0\0\0"] {
        std::fs::write(&config.path, [&whole[..], torn.as_bytes()].concat()).unwrap();
        let recorder = Recorder::open(config.clone()).await.unwrap();
        assert_eq!(recorder.position().newest_ms(), Some(START_MS + 5));
        drop(recorder);
        assert_eq!(std::fs::read(&config.path).unwrap(), whole);
    }
}

#[tokio::test]
async fn lines_hold_one_change_and_what_is_in_the_file_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, None);
    let mut pretty = change(3, START_MS);
    pretty.json = Bytes::from_static(b"{\n\"meta\":\r\n{\"id\":\"id-3\"}}");
    record(
        &config,
        [change(1, START_MS), change(2, START_MS + 5), pretty],
    )
    .await;
    let again = record(&config, [change(2, START_MS + 5), change(4, START_MS + 3)]).await;
    assert_eq!(
        again,
        Sent {
            durable: 1,
            repeats: 1
        }
    );
    let text = std::fs::read_to_string(&config.path).unwrap();
    assert_eq!(text.lines().count(), 4);
    assert!(
        text.lines()
            .all(|line| line.starts_with("data: {") && line.ends_with('}'))
    );
}

#[tokio::test]
async fn a_second_writer_is_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, None);
    let first = Recorder::open(config.clone()).await.unwrap();
    let second = Recorder::open(config.clone()).await.unwrap_err();
    assert!(
        second
            .to_string()
            .ends_with("is being written by another wikitop"),
        "{second}"
    );
    drop(first);
}

#[tokio::test]
async fn an_hour_is_a_file_and_the_file_before_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, Some(Rotate::Hourly));
    let hour_ms = 3_600_000;
    let next_ms = (START_MS / hour_ms + 1) * hour_ms;
    let entries = [
        change(1, next_ms - 2),
        change(2, next_ms - 1),
        change(3, next_ms),
        change(4, next_ms - 1),
        change(5, next_ms + 1),
    ];
    record(&config, entries).await;
    let mut files: Vec<(String, usize)> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            (
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                lines,
            )
        })
        .collect();
    files.sort();
    assert_eq!(files[0], ("recentchanges".to_owned(), 3));
    assert_eq!(files[1].1, 2);
    assert!(is_finished_suffix(
        files[1].0.strip_prefix("recentchanges").unwrap()
    ));
    // A change of the file before is known after a restart too.
    assert_eq!(record(&config, [change(2, next_ms - 1)]).await.repeats, 1);
}

#[tokio::test]
async fn a_file_of_full_size_is_finished_before_the_next_change() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, Some(Rotate::Size(300)));
    record(&config, (0..10).map(|number| change(number, START_MS))).await;
    let files = std::fs::read_dir(folder.path()).unwrap();
    let sizes: Vec<u64> = files
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .collect();
    assert!(
        sizes.len() > 3 && sizes.iter().all(|size| *size < 600),
        "{sizes:?}"
    );
}
