//! A subscription that ends when its reader wants it to, and explains why it could not begin.

use std::cmp::Reverse;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::commands::failure::{Exit, Failure};
use crate::core::address::Address;
use crate::core::catalog::{self, KnownView};
use crate::core::frame::{Column, Row, State};
use crate::core::subscription::{Event, SubscribeError, Subscription, Target};
use crate::core::{connection, relations};
use crate::terminal::layout::Layout;

/// What `tail` follows, and for how long.
pub(super) struct Follow<'a> {
    address: Address,
    subscription: Subscription,
    ended: BoxFuture<'a, ()>,
    was_open: bool,
}

impl<'a> Follow<'a> {
    /// Ends with `shutdown`, or after `run_for`.
    pub(super) fn new(
        address: Address,
        target: Target,
        shutdown: impl Future<Output = ()> + Send + 'a,
        run_for: Option<Duration>,
    ) -> Self {
        let time_up = async move {
            match run_for {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        let ended = async move {
            tokio::select! {
                () = shutdown => {}
                () = time_up => {}
            }
        };
        Follow {
            subscription: Subscription::new(address.clone(), target),
            address,
            ended: ended.boxed(),
            was_open: false,
        }
    }

    /// What happens next; `None` when the end has come. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Failure> {
        let event = tokio::select! {
            biased;
            () = &mut self.ended => return Ok(None),
            event = self.subscription.next() => event,
        };
        match &event {
            Event::Opened { .. } => self.was_open = true,
            // What is not there at the start is not waited for: more likely nobody started it.
            Event::Reconnecting { .. } if !self.was_open => tokio::select! {
                () = &mut self.ended => return Ok(None),
                connected = connection::connect(&self.address) => drop(connected?),
            },
            Event::Failed(error) => return Err(self.explain(error.clone()).await),
            _ => {}
        }
        Ok(Some(event))
    }

    /// The view's name, or what stands for a query.
    pub(super) fn title(&self) -> &str {
        match self.subscription.target() {
            Target::View(name) => name,
            Target::Query(text) => text,
        }
    }

    /// The view, if it is a known one.
    pub(super) fn view(&self) -> Option<&'static KnownView> {
        match self.subscription.target() {
            Target::View(name) => catalog::find(name),
            Target::Query(_) => None,
        }
    }

    /// What the view holds.
    pub(super) fn state(&self) -> &State {
        self.subscription.state()
    }

    /// The view's rows in its order; a query's, whose order the stream does not tell, in the one that its columns suggest.
    pub(super) fn rows(&self, columns: &[Column]) -> Vec<Row> {
        let mut rows = catalog::rank(self.view(), columns, self.state());
        let layout = Layout::of(columns);
        if self.view().is_none() && layout == Layout::Ranking {
            rows.sort_by_cached_key(|row| Reverse(layout.number(row)));
        }
        rows
    }

    /// An unknown view was perhaps a known one, mistyped.
    async fn explain(&self, error: SubscribeError) -> Failure {
        let Target::View(name) = self.subscription.target() else {
            return error.into();
        };
        if !matches!(error, SubscribeError::UnknownRelation(_)) {
            return error.into();
        }
        let failure = Failure::new(Exit::Failed, anyhow::anyhow!("there is no view {name:?}"));
        let names = match connection::connect(&self.address).await {
            Ok(connection) => relations::list(&connection).await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let near = relations::closest(name, &names);
        failure.hint(match near.as_slice() {
            [] if names.is_empty() => "Create the views with `wikitop init-views`.".into(),
            [] => "`wikitop tail` alone lists what there is.".into(),
            near => format!(
                "Did you mean {}? `wikitop tail` alone lists what there is.",
                near.join(" or ")
            ),
        })
    }
}
