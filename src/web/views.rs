//! What the web interface needs of an engine: to follow a view, and to know which there are.

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};

use crate::core::address::Address;
use crate::core::connection::{connect, describe};
use crate::core::relations;
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
    let names = relations::views(&connection).await;
    names.map_err(|error| format!("could not list the views: {}", describe(&error)))
}
