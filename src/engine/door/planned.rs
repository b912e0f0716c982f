//! Statements to what the session will do: names resolved, queries planned, columns known, nothing run yet. Everything that can
//! be wrong with a statement by itself is found here, so that Parse and Describe tell it.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::changefeed;
use super::encoding::Field;
use super::memory::Kept;
use super::parameters::{self, Parameter};
use super::portal::{Portals, Prepared, Statements};
use super::settings::Settings;
use super::show;
use crate::engine::catalog::{Catalog, Kind};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::plan::Query;
use crate::engine::sql::{
    self, Context, CopyOptions, CreateView, FetchCount, Name, Parameters, Purpose, Source,
    Statement, Subscribe, ast,
};
use crate::engine::system;
use crate::engine::value::{Row, Type, Value};

/// What a session will do for a statement.
#[derive(Debug, Clone)]
pub(crate) enum Planned {
    /// A query, once.
    Select(SelectPlan),
    /// A query and its changes.
    Subscribe(SubscribePlan),
    /// Rows that are known already: SHOW and EXPLAIN.
    Rows(Rows),
    /// The next rows of a cursor.
    Fetch {
        cursor: String,
        count: FetchCount,
        timeout: Option<Duration>,
        fields: Vec<Field>,
    },
    /// `COPY (...) TO STDOUT`
    CopyOut {
        source: Box<Planned>,
        options: CopyOptions,
    },
    /// `COPY wikirecent FROM STDIN`
    CopyIn(CopyOptions),
    /// Documents, one a row.
    Insert(Arc<Query>),
    /// The view's query, and the statement.
    CreateView(Arc<Query>, Box<CreateView>),
    /// A cursor and its source.
    Declare {
        cursor: String,
        source: Box<Planned>,
    },
    /// What needs no plan.
    Command(Statement),
}

/// A query and its columns.
#[derive(Debug, Clone)]
pub(crate) struct SelectPlan {
    pub(crate) query: Arc<Query>,
    pub(crate) fields: Vec<Field>,
}

/// A subscription's query and options.
#[derive(Debug, Clone)]
pub(crate) struct SubscribePlan {
    pub(crate) query: Arc<Query>,
    pub(crate) progress: bool,
    pub(crate) snapshot: bool,
    pub(crate) up_to_ms: Option<u64>,
    pub(crate) fields: Vec<Field>,
}

/// Rows that are known already.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) fields: Vec<Field>,
    pub(crate) rows: Vec<Row>,
    /// The tag at their end, when it is not SELECT's.
    pub(crate) tag: Option<&'static str>,
}

impl Planned {
    /// The columns of the rows that it returns, when it returns rows.
    pub(crate) fn fields(&self) -> Option<&[Field]> {
        match self {
            Planned::Select(plan) => Some(&plan.fields),
            Planned::Subscribe(plan) => Some(&plan.fields),
            Planned::Rows(rows) => Some(&rows.fields),
            Planned::Fetch { fields, .. } => Some(fields),
            _ => None,
        }
    }
}

/// What statements are planned against.
#[derive(Debug)]
pub(crate) struct Planner<'a> {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) identity: &'a system::Session,
    pub(crate) settings: &'a Settings,
    pub(crate) statements: &'a Statements,
    pub(crate) portals: &'a Portals,
    /// The text that the statement stands in, for the positions of errors.
    pub(crate) text: &'a str,
}

impl Planner<'_> {
    /// Plans a statement with these parameters.
    pub(crate) fn plan(
        &self,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<Planned, SqlError> {
        self.planned(statement, &Known::Values(parameters))
    }

    /// What a Parse or PREPARE keeps of a statement: its parameters' types, as far as the client has not fixed them, follow
    /// from how the statement uses them.
    pub(crate) fn prepared(
        &self,
        statement: Option<Statement>,
        declared: Vec<u32>,
        kept: Kept,
    ) -> Result<Prepared, SqlError> {
        let types = RefCell::new(parameters::known(&declared)?);
        let fields = match &statement {
            Some(statement) => {
                let planned = self.planned(statement, &Known::Types(&types))?;
                planned.fields().map(<[Field]>::to_vec)
            }
            None => None,
        };
        Ok(Prepared {
            text: self.text.into(),
            statement,
            parameter_types: parameters::oids(&declared, &types.into_inner()),
            fields,
            _kept: kept,
        })
    }

    fn planned(&self, statement: &Statement, known: &Known<'_>) -> Result<Planned, SqlError> {
        Ok(match statement {
            Statement::Select(query) => self.select(query, known)?,
            Statement::Subscribe(subscribe) => self.subscribe(subscribe, known)?,
            Statement::CopyOut { source, options } => Planned::CopyOut {
                source: Box::new(self.source(source, known)?),
                options: options.clone(),
            },
            Statement::CopyIn {
                table,
                columns,
                options,
            } => {
                self.check_input(table, columns)?;
                Planned::CopyIn(options.clone())
            }
            Statement::Insert {
                table,
                columns,
                source,
            } => {
                self.check_input(table, columns)?;
                let query = self.query(source, Purpose::Once, known)?;
                if !matches!(&query.columns[..], [column] if column.ty == Type::Text) {
                    return Err(SqlError::new(
                        SqlState::DatatypeMismatch,
                        "\"wikirecent\" has one column, \"data\", which takes JSON documents",
                    ));
                }
                Planned::Insert(Arc::new(query))
            }
            Statement::CreateView(view) => {
                let query = self.view_query(view)?;
                Planned::CreateView(Arc::new(query), Box::new(view.clone()))
            }
            Statement::Show(show) => Planned::Rows(show::rows(show, self)?),
            Statement::Explain(source) => {
                let query = match self.source(source, known)? {
                    Planned::Select(plan) => plan.query,
                    Planned::Subscribe(plan) => plan.query,
                    _ => return Err(SqlError::unsupported("EXPLAIN of this statement")),
                };
                Planned::Rows(show::explained(&query, &self.catalog))
            }
            Statement::Declare {
                cursor,
                source,
                hold,
            } => {
                if *hold {
                    return Err(SqlError::unsupported("a cursor WITH HOLD"));
                }
                Planned::Declare {
                    cursor: cursor.clone(),
                    source: Box::new(self.source(source, known)?),
                }
            }
            Statement::Fetch {
                cursor,
                count,
                timeout,
            } => Planned::Fetch {
                cursor: cursor.clone(),
                count: *count,
                timeout: *timeout,
                fields: self
                    .portals
                    .get(cursor)?
                    .fields()
                    .unwrap_or_default()
                    .to_vec(),
            },
            Statement::Execute { name, arguments } => self.execute(name, arguments)?,
            other => Planned::Command(other.clone()),
        })
    }

    fn execute(&self, name: &str, arguments: &[ast::Expr]) -> Result<Planned, SqlError> {
        let prepared = self.statements.get(name)?;
        let values = arguments
            .iter()
            .map(|argument| self.constant(argument))
            .collect::<Result<Vec<_>, _>>()?;
        let parameters = parameters::typed(values, &prepared.parameter_types)?;
        match &prepared.statement {
            // EXECUTE of an EXECUTE could go on for ever.
            Some(Statement::Execute { .. }) => Err(SqlError::unsupported("EXECUTE of an EXECUTE")),
            Some(statement) => self.plan(statement, &parameters),
            None => Err(SqlError::new(
                SqlState::SyntaxError,
                format!("prepared statement \"{name}\" is empty"),
            )),
        }
    }

    fn source(&self, source: &Source, known: &Known<'_>) -> Result<Planned, SqlError> {
        match source {
            Source::Select(query) => self.select(query, known),
            Source::Subscribe(subscribe) => self.subscribe(subscribe, known),
        }
    }

    fn select(&self, query: &ast::Query, known: &Known<'_>) -> Result<Planned, SqlError> {
        let query = self.query(query, Purpose::Once, known)?;
        Ok(Planned::Select(SelectPlan {
            fields: Field::of_columns(&query.columns),
            query: Arc::new(query),
        }))
    }

    fn subscribe(&self, subscribe: &Subscribe, known: &Known<'_>) -> Result<Planned, SqlError> {
        let query = self.query(&subscribe.query, Purpose::Maintained, known)?;
        let up_to_ms = match &subscribe.up_to {
            None => None,
            Some(expression) => Some(sql::milliseconds(&self.constant(expression)?)?),
        };
        Ok(Planned::Subscribe(SubscribePlan {
            fields: changefeed::fields(subscribe.progress, &query.columns),
            query: Arc::new(query),
            progress: subscribe.progress,
            snapshot: subscribe.snapshot,
            up_to_ms,
        }))
    }

    fn query(
        &self,
        query: &ast::Query,
        purpose: Purpose,
        known: &Known<'_>,
    ) -> Result<Query, SqlError> {
        let parameters = match known {
            Known::Values(values) => Parameters::Values(values),
            Known::Types(types) => Parameters::Infer(types),
        };
        self.with_context(purpose, parameters, |context| {
            sql::plan_query(query, context)
        })
    }

    fn with_context<T>(
        &self,
        purpose: Purpose,
        parameters: Parameters<'_>,
        plan: impl FnOnce(&Context<'_>) -> T,
    ) -> T {
        let relations = system::Relations {
            catalog: &self.catalog,
            session: self.identity,
        };
        plan(&Context {
            sql: self.text,
            parameters,
            ..Context::new(&relations, now_ms(), purpose)
        })
    }

    fn view_query(&self, view: &CreateView) -> Result<Query, SqlError> {
        // A view outlives its session and is planned again at every start: it can stand on nothing but the catalog's relations.
        let mut context = Context::new(&*self.catalog, now_ms(), Purpose::Maintained);
        context.sql = self.text;
        let mut query = sql::plan_query(&view.query, &context)?;
        if view.columns.len() > query.columns.len() {
            return Err(SqlError::new(
                SqlState::SyntaxError,
                format!(
                    "CREATE VIEW specifies {} column names, but its query has {} columns",
                    view.columns.len(),
                    query.columns.len()
                ),
            ));
        }
        for (column, name) in query.columns.iter_mut().zip(&view.columns) {
            column.name = name.as_str().into();
        }
        Ok(query)
    }

    /// The value of a constant expression.
    fn constant(&self, expression: &ast::Expr) -> Result<Value, SqlError> {
        self.with_context(Purpose::Once, Parameters::Values(&[]), |context| {
            sql::constant(expression, context).map(|(value, _)| value)
        })
    }

    /// COPY FROM and INSERT go into `wikirecent` alone.
    fn check_input(&self, table: &Name, columns: &[String]) -> Result<(), SqlError> {
        let is_public = table
            .schema
            .as_deref()
            .is_none_or(|schema| schema == system::PUBLIC);
        let relation = self.catalog.get(&table.name).filter(|_| is_public);
        let Some(relation) = relation else {
            return Err(SqlError::new(
                SqlState::UndefinedTable,
                format!("relation \"{table}\" does not exist"),
            ));
        };
        if relation.kind != Kind::Input {
            return Err(SqlError::new(
                SqlState::WrongObjectType,
                format!("cannot insert into view \"{table}\""),
            )
            .hint("Changes go into wikirecent, one JSON document a row."));
        }
        match columns {
            [] => Ok(()),
            [column] if *column == *relation.columns[0].name => Ok(()),
            [column, ..] => Err(SqlError::new(
                SqlState::UndefinedColumn,
                format!("\"{table}\" has one column, \"data\": \"{column}\" cannot be written"),
            )),
        }
    }
}

/// The time by the system's clock, in milliseconds since the epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// What is known of a statement's parameters.
enum Known<'a> {
    /// Everything.
    Values(&'a [Parameter]),
    /// Some of their types; planning finds the others.
    Types(&'a RefCell<Vec<Option<Type>>>),
}
