//! What the web interface needs of an engine: to follow a view, and to know which there are.

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};

use crate::core::address::Address;
use crate::core::catalog;
use crate::core::connection::connect;
use crate::core::dialect::Dialect;
use crate::core::subscription::{Event, Subscription, Target};

/// A source of views. The engine at an [`Address`] is one.
pub trait Views: Send + Sync + 'static {
    /// Follows a view: what a [`Subscription`] tells.
    fn subscribe(&self, view: &str) -> BoxStream<'static, Event>;

    /// The names of the views that there are; an error in words.
    fn list(&self) -> BoxFuture<'static, Result<Vec<String>, String>>;
}

impl Views for Address {
    fn subscribe(&self, view: &str) -> BoxStream<'static, Event> {
        let subscription = Subscription::new(self.clone(), Target::View(view.to_owned()));
        stream::unfold(subscription, |mut subscription| async move {
            let event = subscription.next().await;
            Some((event, subscription))
        })
        .boxed()
    }

    fn list(&self) -> BoxFuture<'static, Result<Vec<String>, String>> {
        let address = self.clone();
        Box::pin(async move { list(&address).await })
    }
}

async fn list(address: &Address) -> Result<Vec<String>, String> {
    let connection = connect(address).await.map_err(|error| error.to_string())?;
    // A current Materialize lists plain views and materialized ones apart; the others know one kind.
    let statements: &[&str] = match connection.dialect {
        Dialect::Embedded | Dialect::Tail => &["SHOW VIEWS"],
        Dialect::Subscribe => &["SHOW VIEWS", "SHOW MATERIALIZED VIEWS"],
    };
    let mut names = Vec::new();
    for statement in statements {
        let rows = connection.client.query(*statement, &[]).await;
        let rows = rows.map_err(|error| format!("{statement} failed: {error}"))?;
        for row in rows {
            names.push(
                row.try_get::<_, String>(0)
                    .map_err(|error| format!("{statement} failed: {error}"))?,
            );
        }
    }
    let rank = |name: &String| {
        let known = catalog::KNOWN_VIEWS
            .iter()
            .position(|view| view.name == name);
        (known.unwrap_or(usize::MAX), name.clone())
    };
    names.sort_by_cached_key(rank);
    names.dedup();
    Ok(names)
}
