//! The page in a real browser, on the built binary: what it shows is what the stream held, whatever the stream held and
//! whatever happens to the connection.

mod browser;
mod calm;
mod fit;
mod modules;
mod shown;
mod stage;
mod trouble;

/// What the editors' ranking shows, in the order in which it is read.
const EDITORS: &str = "Array.from(document.querySelectorAll('#editors > :not(.leaving)'), (row, slot) => [
    row.querySelector('.name').textContent, row.querySelector('.count').textContent, row.querySelector('.mark').textContent,
    row.querySelector('.name').getAttribute('href'), row.style.getPropertyValue('--share'),
    Number(row.style.getPropertyValue('--slot')) === slot])";

const TOTAL: &str = "document.getElementById('total').textContent";
const WORD: &str = "document.getElementById('word').textContent";

/// Watches from the first moment: every number that the counter showed, what shifted the layout, long tasks, messages that came,
/// changes of the page, and those made while nobody looked.
const WATCH: &str = "
    Object.assign(window, { totals: [], shifts: [], longTasks: [], messages: 0, changes: 0, hiddenChanges: 0 });
    const observe = (type, take) => new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true });
    observe('layout-shift', ({ value, sources }) => window.shifts.push([value, ...sources.map(({ node }) => (node?.outerHTML ?? node?.textContent ?? '?').slice(0, 200))]));
    observe('longtask', (entry) => window.longTasks.push(Math.round(entry.duration)));
    window.WebSocket = class extends WebSocket {
        constructor(...given) {
            super(...given);
            this.addEventListener('message', () => { window.messages += 1; });
        }
    };
    document.addEventListener('DOMContentLoaded', () => {
        const total = document.getElementById('total');
        new MutationObserver(() => window.totals.push(Number(total.textContent.replaceAll(',', '')))).observe(total, { childList: true, characterData: true, subtree: true });
        new MutationObserver((changes) => {
            window.changes += changes.length;
            if (document.hidden) window.hiddenChanges += changes.length;
        }).observe(document.body, { childList: true, characterData: true, attributes: true, subtree: true });
    });";

fn shows(total: usize) -> String {
    format!("{TOTAL} === '{total}'")
}
