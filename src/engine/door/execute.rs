//! Running what has been planned: each kind of statement by whoever knows it.

use super::answer::Answer;
use super::backend::Outbox;
use super::encoding::{self, Format};
use super::planned::{Planned, Rows};
use super::portal::{Portal, State};
use super::session::{Session, Stop};
use super::stream::{Sent, Subscription};
use super::wire::Wire;

impl Session {
    /// Runs a portal, or goes on with one that was suspended, up to `rows_max` rows.
    pub(crate) async fn execute(
        &mut self,
        portal: &mut Portal,
        rows_max: Option<u64>,
    ) -> Result<(), Stop> {
        let Some(planned) = &portal.planned else {
            self.wire.out.empty_query();
            return Ok(());
        };
        if let State::New = portal.state {
            portal.state = match planned {
                Planned::Select(plan) => State::Rows(self.answer(plan.query.clone()).await?),
                Planned::Rows(rows) => State::Rows(Answer::known(rows.rows.clone())),
                Planned::Subscribe(plan) => {
                    self.wire.out.notice(
                        "NOTICE",
                        "01000",
                        "streaming SUBSCRIBE rows directly requires a client that does not buffer output",
                    );
                    State::Feed(Box::new(Subscription::open(&self.engine, plan).await?))
                }
                Planned::Fetch {
                    cursor,
                    count,
                    timeout,
                    ..
                } => {
                    let formats = portal.formats.clone();
                    let (cursor, count, timeout) = (cursor.clone(), *count, *timeout);
                    self.fetch(cursor, count, timeout, &formats).await?;
                    State::Done
                }
                Planned::CopyOut { source, options } => {
                    let (source, options) = (source.clone(), options.clone());
                    self.copy_out(&source, &options).await?;
                    State::Done
                }
                Planned::Insert(query) => {
                    let query = query.clone();
                    self.insert(query).await?;
                    State::Done
                }
                Planned::CopyIn(options) => {
                    let options = options.clone();
                    self.copy_in(&options).await?;
                    State::Done
                }
                Planned::CreateView(query, statement) => {
                    let (query, statement) = (query.clone(), statement.clone());
                    self.create_view(query, &statement).await?;
                    State::Done
                }
                Planned::Declare { cursor, source } => {
                    let (cursor, source) = (cursor.clone(), source.clone());
                    let kept = std::mem::replace(&mut portal.kept, self.memory.nothing());
                    self.declare(cursor, Portal::new(Some(*source), Vec::new(), kept))
                        .await?;
                    State::Done
                }
                Planned::Command(statement) => {
                    let statement = statement.clone();
                    let kept = std::mem::replace(&mut portal.kept, self.memory.nothing());
                    self.command(statement, kept).await?;
                    State::Done
                }
            };
            if let State::Done = portal.state {
                return Ok(());
            }
        }
        let formats = portal.formats.clone();
        match &mut portal.state {
            State::Rows(rows) => {
                let sent = send_rows(&mut self.wire, rows, rows_max, &formats).await?;
                match sent {
                    Sent::Some(_) => self.wire.out.suspended(),
                    Sent::All(count) => {
                        let tag = match planned_tag(&portal.planned) {
                            Some(tag) => tag.to_owned(),
                            None => format!("SELECT {count}"),
                        };
                        self.wire.out.complete(tag);
                        portal.state = State::Done;
                    }
                }
            }
            State::Feed(subscription) => {
                self.wire.no_deadline();
                let shape = subscription.shape();
                let write = |out: &mut Outbox, event: &_| shape.data_row(out, event, &formats);
                match subscription.stream(&mut self.wire, rows_max, write).await? {
                    Sent::Some(_) => self.wire.out.suspended(),
                    Sent::All(count) => {
                        self.wire.out.complete(format!("SUBSCRIBE {count}"));
                        portal.state = State::Done;
                    }
                }
            }
            State::New | State::Done => self.wire.out.complete("SELECT 0"),
        }
        Ok(())
    }
}

/// Tags of statements that return rows and are no SELECT.
fn planned_tag(planned: &Option<Planned>) -> Option<&'static str> {
    match planned {
        Some(Planned::Rows(Rows { tag, .. })) => *tag,
        _ => None,
    }
}

/// Sends rows up to `rows_max`.
pub(super) async fn send_rows(
    wire: &mut Wire,
    answer: &mut Answer,
    rows_max: Option<u64>,
    formats: &[Format],
) -> Result<Sent, Stop> {
    let mut sent = 0;
    while let Some(row) = answer.next(wire).await? {
        wire.out
            .data_row(|bytes| encoding::data_row(bytes, &row, formats));
        wire.flush_if_large().await?;
        sent += 1;
        if Some(sent) == rows_max {
            break;
        }
    }
    if Some(sent) == rows_max && !answer.is_over() {
        return Ok(Sent::Some(sent));
    }
    Ok(Sent::All(sent))
}
