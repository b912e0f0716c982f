//! The views of `assets/views.sql` in an engine that is called directly.

use std::sync::Arc;

use wikitop::engine::handle::Engine;
use wikitop::engine::sql::{Context, Purpose, Statement, parse, plan_query};

/// Creates all views, in their order.
pub(crate) async fn create(engine: &Engine) {
    for statement in parse(include_str!("../../assets/views.sql")).unwrap() {
        let Statement::CreateView(view) = statement else {
            panic!("views.sql creates views only");
        };
        let catalog = engine.catalog();
        let context = Context::new(&*catalog, 0, Purpose::Maintained);
        let query = Arc::new(plan_query(&view.query, &context).unwrap());
        let name = view.name.name.as_str().into();
        engine
            .create_view(name, view.sql.as_str().into(), query)
            .await
            .unwrap();
    }
}
