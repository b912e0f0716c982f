//! What the page does while much happens: little, and nothing that a reader has to look away from.

use serde_json::json;

use super::browser::Browser;
use super::shows;
use super::stage::{Change, EDIT, watched};

/// Tells other windows of the same origin which count has reached this page: a hidden page cannot be asked.
const CONFIDE: &str = "
    window.WebSocket = class extends WebSocket {
        constructor(...given) {
            super(...given);
            this.addEventListener('message', ({ data }) => {
                const { view, inserted } = JSON.parse(data);
                if (view === 'counter' && inserted) localStorage.setItem('counter', inserted[0][0]);
            });
        }
    };";

/// Nothing went wrong in the console, nothing was asked of anyone else, and nothing that arrived shifted the layout.
pub(super) async fn assert_calm(browser: &Browser) {
    assert_eq!(browser.console().await, Vec::<String>::new());
    let foreign = "performance.getEntriesByType('resource').map((entry) => entry.name).filter((name) => !name.startsWith(location.origin))";
    assert_eq!(browser.value(foreign).await, json!([]));
    assert_eq!(browser.value("window.shifts").await, json!([]));
}

#[tokio::test]
async fn a_hidden_page_rests_and_is_right_when_it_returns() {
    let Some((browser, mut stage)) = watched().await else {
        return;
    };
    browser.before_page(CONFIDE).await;
    browser.open(&stage.page()).await;
    stage.send(3, EDIT);
    browser.until(&shows(3)).await;

    let page = browser.client.window().await.unwrap();
    let other = browser.client.new_window(true).await.unwrap();
    browser.client.switch_to_window(other.handle).await.unwrap();
    stage.send(400, EDIT);
    // The other window is this server's too, so that the page can confide in it.
    browser
        .client
        .goto(&format!("{}healthz", stage.page()))
        .await
        .unwrap();
    browser
        .until("localStorage.getItem('counter') === '403'")
        .await;
    browser.client.switch_to_window(page).await.unwrap();
    browser.until(&shows(403)).await;
    assert_eq!(browser.value("window.hiddenChanges").await, 0);
    // It did not count up through what nobody saw.
    assert_eq!(
        browser.value("totals.filter((total) => total > 3)").await,
        json!([403])
    );
}

#[tokio::test]
async fn a_message_costs_little_work() {
    let Some((browser, mut stage)) = watched().await else {
        return;
    };
    browser.open(&stage.page()).await;
    stage.send(1, EDIT);
    browser.until(&shows(1)).await;
    let begun = browser.value("[messages, changes]").await;
    let users: Vec<String> = (0..40).map(|n| format!("Editor {n}")).collect();
    let steps = 24;
    for step in 0..steps {
        for (n, user) in users.iter().enumerate().skip(step % 7) {
            let change = Change {
                user: Some(user),
                title: &users[(n * step) % users.len()],
                ..EDIT
            };
            stage.send(1, change);
        }
        let total = usize::try_from(stage.made).unwrap();
        browser.until(&shows(total)).await;
    }
    let ended = browser.value("[messages, changes]").await;
    let spent = |at: usize| ended[at].as_u64().unwrap() - begun[at].as_u64().unwrap();
    let (messages, changes) = (spent(0), spent(1));
    let long_tasks = browser.value("longTasks").await;
    eprintln!(
        "{} edits: {messages} messages, {changes} changes of the page, tasks over 50 ms: {long_tasks}",
        stage.made
    );
    // A step moves the counter through some frames, and each row of the four lists by its place, its share and its count.
    assert!(
        changes < 150 * steps as u64,
        "{changes} changes of the page"
    );
    assert_calm(&browser).await;
}
