//! Every screen, and what its user prefers.

use std::path::Path;

use serde_json::json;

use super::browser::{Browser, Screen};
use super::calm::assert_calm;
use super::shows;
use super::stage::{Change, EDIT, watched};

/// Whether a number passes through others on its way from 0 to 1000, and where it is after two seconds of frames.
const COUNT_UP: &str = "
    const done = arguments[0], element = document.createElement('p');
    import('/parts.js').then(({ counter }) => {
        const render = counter(element), shown = () => Number(element.textContent.replaceAll(',', ''));
        render(0, 0, false);
        render(1000, 16, false);
        const onItsWay = shown() > 0 && shown() < 1000, before = shown();
        render(1000, -3_600_000, false);
        if (shown() < before) return done('a clock that is set back takes the number back');
        for (let ms = -3_600_000; ms < -3_598_000; ms += 16) render(1000, ms, false);
        done([onItsWay, shown()]);
    });";

#[tokio::test]
async fn it_fits_every_screen_and_honours_preferences() {
    let Some((browser, mut stage)) = watched().await else {
        return;
    };
    let names: Vec<String> = (0..12)
        .map(|i| format!("An editor with quite a long name, number {i}"))
        .collect();
    for (i, name) in names.iter().enumerate() {
        stage.send(
            i + 1,
            Change {
                user: Some(name),
                title: name,
                ..EDIT
            },
        );
    }
    for width in [320, 360, 480, 768, 1024, 1440, 2560] {
        browser.set_screen(Screen::new(width, 900)).await;
        browser.open(&stage.page()).await;
        browser.until(&shows(78)).await;
        assert_fits(&browser).await;
    }
    for (width, height) in [(1280, 720), (1920, 1080), (3840, 2160)] {
        browser.set_screen(Screen::new(width, height)).await;
        let kiosk = format!("{}?kiosk", stage.page());
        browser.client.goto(&kiosk).await.unwrap();
        browser.until(&shows(78)).await;
        assert_fits(&browser).await;
        let bottom = "Math.max(...Array.from(document.querySelectorAll('section'), (part) => part.getBoundingClientRect().bottom)) <= innerHeight";
        assert_eq!(browser.value(bottom).await, true, "{width} x {height}");
    }

    assert_eq!(
        browser
            .client
            .execute_async(COUNT_UP, vec![])
            .await
            .unwrap(),
        json!([true, 1_000]),
        "a number counts up"
    );
    let quiet = Screen {
        dark: true,
        reduced_motion: true,
        ..Screen::new(768, 900)
    };
    browser.set_screen(quiet).await;
    browser.open(&stage.page()).await;
    browser.until(&shows(78)).await;
    let style = "(() => { const row = getComputedStyle(document.querySelector('#editors > *'));
        return [row.transitionProperty, getComputedStyle(document.documentElement).backgroundColor] })()";
    assert_eq!(
        browser.value(style).await,
        json!(["none", "rgb(16, 20, 24)"])
    );
    assert_eq!(
        browser
            .client
            .execute_async(COUNT_UP, vec![])
            .await
            .unwrap(),
        json!([false, 1_000]),
        "or is there at once"
    );
    assert_calm(&browser).await;
}

/// Nothing sticks out of the page.
pub(super) async fn assert_fits(browser: &Browser) {
    let sizes = "[document.documentElement.scrollWidth <= document.documentElement.clientWidth,
        Array.from(document.querySelectorAll('h1, h2, p, li:not(.leaving), button, label')).filter((element) => {
            const { left, right } = element.getBoundingClientRect(); return left < 0 || right > innerWidth; }).map((element) => element.outerHTML)]";
    assert_eq!(browser.value(sizes).await, json!([true, []]));
}

#[test]
fn the_page_is_small() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let files = std::fs::read_dir(assets)
        .unwrap()
        .map(|file| file.unwrap().path());
    let page = files.filter(|path| path.extension().is_some_and(|it| it != "sql"));
    let bytes: u64 = page.map(|path| path.metadata().unwrap().len()).sum();
    assert!((10_000..60_000).contains(&bytes), "{bytes} bytes");
}
