//! The engine's state across crashes and faults of the disk.

use std::path::Path;

use wikitop::engine::{Config, OpenError, RETAIN_DEFAULT, start};

fn config(dir: &Path) -> Config {
    Config {
        data_dir: dir.to_owned(),
        retain: RETAIN_DEFAULT,
    }
}

/// The only file of a data directory.
fn file(dir: &Path) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let file = files.next().unwrap();
    assert!(files.next().is_none());
    file
}

/// A store with a few thousand changes in it, stopped.
async fn filled(dir: &Path) {
    let (engine, running) = start(config(dir)).unwrap();
    for batch in 0..5 {
        let documents = (0..5_000)
            .map(|id| format!(r#"{{"meta":{{"id":"{batch}-{id}"}},"title":"{id}"}}"#).into())
            .collect();
        assert_eq!(engine.append(documents).await.unwrap().kept, 5_000);
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_directory_in_use_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (_engine, running) = start(config(dir.path())).unwrap();
    let error = start(config(dir.path())).unwrap_err();
    assert!(
        matches!(&error, OpenError::InUse { path } if path == dir.path()),
        "{error:?}"
    );
    assert!(
        error.to_string().contains(dir.path().to_str().unwrap()),
        "{error}"
    );
    running.stop().await.unwrap();
    let (_engine, running) = start(config(dir.path())).unwrap();
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let path = file(dir.path());
    let good = std::fs::read(&path).unwrap();
    let damages: [(&str, Box<dyn Fn(&mut Vec<u8>)>); 5] = [
        (
            "no store at all",
            Box::new(|bytes| *bytes = b"Dear diary, today I was a database.\n".repeat(500)),
        ),
        (
            "cut in the middle",
            Box::new(|bytes| bytes.truncate(bytes.len() / 2)),
        ),
        ("cut to a stump", Box::new(|bytes| bytes.truncate(100))),
        (
            "a page overwritten",
            Box::new(|bytes| {
                // Whatever of the pages is in use: overwrite all but the first, which is the header.
                bytes[4096..]
                    .iter_mut()
                    .step_by(7)
                    .for_each(|byte| *byte ^= 0x55);
            }),
        ),
        (
            "a header overwritten",
            Box::new(|bytes| bytes[..512].fill(0xaa)),
        ),
    ];
    for (what, damage) in damages {
        let mut bytes = good.clone();
        damage(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        match start(config(dir.path())) {
            Err(error @ (OpenError::Damaged { .. } | OpenError::Format { .. })) => {
                assert!(
                    error.to_string().contains(path.to_str().unwrap()),
                    "{what}: {error}"
                );
            }
            Err(error) => panic!("{what}: {error:?}"),
            Ok(_) => panic!("{what}: it opens"),
        }
        assert!(
            std::fs::read(&path).unwrap() == bytes,
            "{what}: the file was changed"
        );
    }
    std::fs::write(&path, &good).unwrap();
    let (_engine, running) = start(config(dir.path())).unwrap();
    running.stop().await.unwrap();
}
