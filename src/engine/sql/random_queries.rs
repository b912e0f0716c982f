//! Random queries in SQL over a few columns of `recentchanges`, for tests: everything that can be maintained, in combinations that
//! nobody would think of. The answer to each is determined by its text: what LIMIT leaves out is decided by all columns.

use fastrand::Rng;

use super::bind::Binder;
use super::{Context, Parameters, Purpose, Relations, Statement, ast, outermost, parse};
use crate::engine::error::SqlError;
use crate::engine::plan::Plan;
use crate::engine::value::{Type, Value};

/// What a random query may be made of.
#[derive(Clone, Copy)]
pub(crate) struct Pool<'s> {
    /// Relations that it may read; each has the columns of [`COLUMNS`].
    pub(crate) relations: &'s [&'s str],
    /// Windows of time may be in it.
    pub(crate) temporal: bool,
}

/// `recentchanges` alone.
pub(crate) const CHANGES: &[&str] = &["recentchanges"];

/// What every relation has that a random query reads.
const COLUMNS: [&str; 10] = [
    "\"user\"",
    "type",
    "wiki",
    "title",
    "id",
    "length_new",
    "length_old",
    "bot",
    "minor",
    "dt",
];

/// Columns whose values vary in random changes, by type.
const TEXTS: [&str; 4] = ["\"user\"", "type", "wiki", "title"];
const INTEGERS: [&str; 3] = ["id", "length_new", "length_old"];
const BOOLEANS: [&str; 2] = ["bot", "minor"];
const WORDS: [&str; 6] = ["'edit'", "'new'", "'a'", "'b'", "''", "'log'"];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Integer,
    Boolean,
    Time,
}

/// A query.
pub(crate) fn query(random: &mut Rng, pool: Pool<'_>) -> String {
    let first = select(random, pool, None);
    if random.u8(..6) > 0 {
        return first.sql;
    }
    let second = select(random, pool, Some(&first.kinds));
    format!("({}) UNION ALL ({})", first.sql, second.sql)
}

/// A query that gives what it reads: rows with [`COLUMNS`].
pub(crate) fn view(random: &mut Rng, pool: Pool<'_>) -> String {
    let grouped = random.u8(..3) == 0;
    let items = COLUMNS.map(|column| {
        let kind = kind_of(column);
        let item = match random.u8(..4) {
            _ if grouped && column == "wiki" => column.to_owned(),
            _ if grouped && kind == Kind::Boolean => format!("count(*) > {}", random.u8(..4)),
            _ if grouped => aggregate(random, kind),
            0 => scalar(random, kind, 1),
            _ => column.to_owned(),
        };
        format!("{item} AS {column}")
    });
    let distinct = one_of(random, &["", "", "", "DISTINCT "]);
    let mut sql = format!(
        "SELECT {distinct}{} FROM {}",
        items.join(", "),
        from(random, pool)
    );
    sql += &conditions(random, pool);
    if grouped {
        sql += " GROUP BY wiki";
    }
    if random.u8(..4) == 0 {
        let order: Vec<String> = (1..=COLUMNS.len()).map(|at| at.to_string()).collect();
        sql += &format!(
            " ORDER BY 5 DESC, {} LIMIT {}",
            order.join(", "),
            random.u8(1..9)
        );
    }
    sql
}

fn kind_of(column: &str) -> Kind {
    if TEXTS.contains(&column) {
        Kind::Text
    } else if INTEGERS.contains(&column) {
        Kind::Integer
    } else if BOOLEANS.contains(&column) {
        Kind::Boolean
    } else {
        Kind::Time
    }
}

struct Select {
    sql: String,
    kinds: Vec<Kind>,
}

fn select(random: &mut Rng, pool: Pool<'_>, kinds: Option<&[Kind]>) -> Select {
    let kinds = kinds.map_or_else(
        || {
            (0..random.usize(1..4))
                .map(|_| random_kind(random))
                .collect()
        },
        <[Kind]>::to_vec,
    );
    let grouped = random.bool();
    let mut items = Vec::new();
    let mut keys = Vec::new();
    for (at, kind) in kinds.iter().enumerate() {
        let item = if grouped && random.bool() {
            aggregate(random, *kind)
        } else if !grouped && *kind == Kind::Integer && random.u8(..4) == 0 {
            match random.bool() {
                true => number(random),
                false => format!(
                    "(SELECT {} FROM {})",
                    aggregate(random, *kind),
                    one_of(random, pool.relations)
                ),
            }
        } else {
            keys.push((at + 1).to_string());
            scalar(random, *kind, 2)
        };
        items.push(format!("{item} AS c{at}"));
    }
    let distinct = match random.u8(..10) {
        0 | 1 => "DISTINCT ",
        2 | 3 => "DISTINCT ON (1) ",
        _ => "",
    };
    let mut sql = format!(
        "SELECT {distinct}{} FROM {}",
        items.join(", "),
        from(random, pool)
    );
    sql += &conditions(random, pool);
    if grouped && !keys.is_empty() {
        sql += &format!(" GROUP BY {}", keys.join(", "));
    }
    if grouped && random.u8(..4) == 0 {
        sql += &format!(" HAVING {} > 1", aggregate(random, Kind::Integer));
    }
    if random.u8(..3) == 0 || distinct.contains("ON") {
        let order: Vec<String> = (1..=kinds.len())
            .map(|at| {
                format!(
                    "{at}{}",
                    one_of(random, &["", " DESC", " NULLS FIRST", " DESC NULLS LAST"])
                )
            })
            .collect();
        sql += &format!(" ORDER BY {}", order.join(", "));
        if random.bool() {
            sql += &format!(" LIMIT {} OFFSET {}", random.u8(..5), random.u8(..2));
        }
    }
    Select { sql, kinds }
}

/// WHERE, or nothing. Mostly conditions that many rows meet: of what is never there nothing can be wrong.
fn conditions(random: &mut Rng, pool: Pool<'_>) -> String {
    let mut conditions = Vec::new();
    if random.u8(..3) == 0 {
        let condition = scalar(random, Kind::Boolean, 2);
        conditions.push(match random.bool() {
            true => condition,
            false => format!("coalesce({condition}, true)"),
        });
    }
    if random.u8(..3) == 0 {
        let among = match random.u8(..3) {
            0 => format!(" WHERE {}", boolean(random, 1)),
            1 if pool.temporal => format!(" WHERE {}", window(random)),
            _ => String::new(),
        };
        let column = one_of(random, &TEXTS);
        let (left, right) = match random.bool() {
            true => (column.to_owned(), column.to_owned()),
            false => (text(random, 1), text(random, 1)),
        };
        let relation = one_of(random, pool.relations);
        let is_in = one_of(random, &["IN", "IN", "NOT IN", "IS NULL OR title IN"]);
        conditions.push(format!(
            "({left} {is_in} (SELECT {right} FROM {relation}{among}))"
        ));
    }
    if random.u8(..6) == 0 {
        let relation = one_of(random, pool.relations);
        conditions.push(match random.u8(..3) {
            0 => format!(
                "EXISTS (SELECT 1 FROM {relation} WHERE {})",
                boolean(random, 1)
            ),
            1 => format!(
                "{} <= (SELECT {} FROM {relation})",
                integer(random, 1),
                aggregate(random, Kind::Integer)
            ),
            _ => format!(
                "coalesce({} <> (SELECT {} FROM {relation} ORDER BY 1 LIMIT 1), true)",
                text(random, 1),
                text(random, 1)
            ),
        });
    }
    if pool.temporal && random.u8(..4) == 0 {
        conditions.push(window(random));
    }
    if conditions.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", conditions.join(" AND "))
    }
}

/// A relation, or a query over one or two that has the same columns.
fn from(random: &mut Rng, pool: Pool<'_>) -> String {
    let relation = one_of(random, pool.relations);
    let columns = COLUMNS.join(", ");
    match random.u8(..9) {
        0 => format!("(SELECT * FROM {relation} WHERE id IS NOT NULL) AS r"),
        1 => format!("(SELECT DISTINCT {columns} FROM {relation}) AS r"),
        2 => format!(
            "(SELECT {columns} FROM {relation} UNION ALL SELECT {columns} FROM {relation} WHERE bot) AS r"
        ),
        3 => {
            let columns = COLUMNS.map(|column| format!("{}.{column}", one_of(random, &["a", "b"])));
            format!(
                "(SELECT {} FROM {relation} AS a {} {} AS b ON a.{key} = b.{key} AND {}) AS r",
                columns.join(", "),
                one_of(random, &["JOIN", "LEFT JOIN", "RIGHT JOIN"]),
                one_of(random, pool.relations),
                one_of(
                    random,
                    &[
                        "a.id <> b.id",
                        "a.bot",
                        "true",
                        "(b.minor OR a.length_new > b.length_old)"
                    ]
                ),
                key = one_of(random, &["wiki", "id", "\"user\""]),
            )
        }
        4 if pool.temporal => format!("(SELECT * FROM {relation} WHERE {}) AS r", window(random)),
        _ => relation.to_owned(),
    }
}

fn random_kind(random: &mut Rng) -> Kind {
    match random.u8(..8) {
        0..3 => Kind::Text,
        3..6 => Kind::Integer,
        6 => Kind::Boolean,
        _ => Kind::Time,
    }
}

fn one_of<'a>(random: &mut Rng, choices: &[&'a str]) -> &'a str {
    choices[random.usize(..choices.len())]
}

fn window(random: &mut Rng) -> String {
    match random.u8(..6) {
        0 => "mz_now() <= dt::timestamp + INTERVAL '3 seconds'".to_owned(),
        1 => "mz_now() >= dt::date".to_owned(),
        2 => "mz_now() <= dt + INTERVAL '3 seconds'".to_owned(),
        3 => "mz_now() < date_trunc('second', dt) + INTERVAL '5 seconds' AND mz_now() >= dt"
            .to_owned(),
        4 => "mz_now() BETWEEN dt + INTERVAL '1 second' AND dt + INTERVAL '4 seconds'".to_owned(),
        _ => "dt > mz_now() AND mz_now() >= dt - INTERVAL '2 seconds'".to_owned(),
    }
}

fn aggregate(random: &mut Rng, kind: Kind) -> String {
    let filter = if random.u8(..4) == 0 {
        format!(" FILTER (WHERE {})", scalar(random, Kind::Boolean, 1))
    } else {
        String::new()
    };
    let inner = |random: &mut Rng| scalar(random, kind, 1);
    if kind == Kind::Text && random.u8(..3) == 0 {
        let distinct = one_of(random, &["", "DISTINCT "]);
        return format!("string_agg({distinct}{}, '+'){filter}", inner(random));
    }
    let call = match kind {
        Kind::Integer => match random.u8(..6) {
            0 => "count(*)".to_owned(),
            1 => format!("count({})", scalar(random, Kind::Text, 1)),
            2 => format!("count(DISTINCT {})", scalar(random, Kind::Text, 1)),
            3 => format!("sum({})", inner(random)),
            4 => format!("min({})", inner(random)),
            _ => format!("max({})", inner(random)),
        },
        // There is no smallest boolean in SQL.
        Kind::Boolean => match random.u8(..3) {
            0 => format!("bool_or({})", inner(random)),
            1 => format!("bool_and({})", inner(random)),
            _ => return format!("count(*){filter} > 2"),
        },
        Kind::Text | Kind::Time => {
            let function = one_of(random, &["min", "max"]);
            format!("{function}({})", inner(random))
        }
    };
    let cast = if kind == Kind::Integer {
        "::bigint"
    } else {
        ""
    };
    format!("({call}{filter}){cast}")
}

/// A number that the text determines: all columns decide which of two rows comes first.
fn number(random: &mut Rng) -> String {
    let partition = match random.u8(..3) {
        0 => String::new(),
        _ => format!("PARTITION BY {} ", text(random, 1)),
    };
    let descending = one_of(random, &["", " DESC", " NULLS FIRST"]);
    let columns = COLUMNS.map(|column| format!("{column}{descending}"));
    format!(
        "row_number() OVER ({partition}ORDER BY {})",
        columns.join(", ")
    )
}

fn scalar(random: &mut Rng, kind: Kind, depth: u8) -> String {
    match kind {
        Kind::Text => text(random, depth),
        Kind::Integer => integer(random, depth),
        Kind::Boolean => boolean(random, depth),
        Kind::Time => time(random, depth),
    }
}

fn text(random: &mut Rng, depth: u8) -> String {
    if depth == 0 {
        return one_of(random, &TEXTS).to_owned();
    }
    let inner = |random: &mut Rng| text(random, depth - 1);
    match random.u8(..9) {
        0 => format!("upper({})", inner(random)),
        1 => format!("({} || {})", inner(random), inner(random)),
        2 => format!("coalesce({}, {})", inner(random), one_of(random, &WORDS)),
        3 => format!(
            "nullif({}, {}::text)",
            inner(random),
            one_of(random, &WORDS)
        ),
        4 => format!(
            "CASE WHEN {} THEN {} ELSE {} END",
            boolean(random, depth - 1),
            inner(random),
            inner(random)
        ),
        5 => format!("left({}, {})", inner(random), random.i8(-2..3)),
        6 => format!("({})::text", integer(random, depth - 1)),
        _ => inner(random),
    }
}

fn integer(random: &mut Rng, depth: u8) -> String {
    if depth == 0 {
        return match random.u8(..4) {
            0 => random.i8(-3..10).to_string(),
            _ => one_of(random, &INTEGERS).to_owned(),
        };
    }
    let inner = |random: &mut Rng| integer(random, depth - 1);
    match random.u8(..9) {
        0 => format!("({} + {})", inner(random), inner(random)),
        1 => format!("({} - {})", inner(random), inner(random)),
        2 => format!("({} * {})", inner(random), inner(random)),
        3 => format!(
            "({} / {})",
            inner(random),
            one_of(random, &["2", "-3", "7"])
        ),
        4 => format!(
            "({} % {})",
            inner(random),
            one_of(random, &["2", "-3", "5"])
        ),
        5 => format!("length({})", text(random, depth - 1)),
        6 => format!("coalesce({}, {})", inner(random), random.u8(..9)),
        7 => format!("greatest({}, {})", inner(random), inner(random)),
        _ => inner(random),
    }
}

fn boolean(random: &mut Rng, depth: u8) -> String {
    if depth == 0 {
        return one_of(random, &BOOLEANS).to_owned();
    }
    let inner = |random: &mut Rng| boolean(random, depth - 1);
    let below = depth - 1;
    match random.u8(..13) {
        0 => format!("({} AND {})", inner(random), inner(random)),
        1 => format!("({} OR {})", inner(random), inner(random)),
        2 => format!("(NOT {})", inner(random)),
        3 => {
            let operator = one_of(random, &["=", "<>", "<", "<=", ">", ">="]);
            format!(
                "({} {operator} {})",
                integer(random, below),
                integer(random, below)
            )
        }
        4 => {
            let operator = one_of(random, &["=", "<>", "<", ">="]);
            format!(
                "({} {operator} {})",
                text(random, below),
                one_of(random, &WORDS)
            )
        }
        5 => format!("({} IS NULL)", text(random, below)),
        6 => format!("({} IS NOT NULL)", integer(random, below)),
        7 => format!("({} IN ('edit', 'new'))", text(random, below)),
        8 => format!("({} NOT IN (1, 2, NULL))", integer(random, below)),
        9 => format!(
            "({} BETWEEN 0 AND {})",
            integer(random, below),
            integer(random, below)
        ),
        10 => {
            let pattern = one_of(random, &["'%e%'", "'_'", "'a%'", "''"]);
            format!("({} LIKE {pattern})", text(random, below))
        }
        11 => format!(
            "({} IS DISTINCT FROM {})",
            text(random, below),
            text(random, below)
        ),
        _ => {
            let test = one_of(random, &["TRUE", "NOT TRUE", "FALSE", "NOT FALSE"]);
            format!("({} IS {test})", inner(random))
        }
    }
}

fn time(random: &mut Rng, depth: u8) -> String {
    if depth == 0 {
        return "dt".to_owned();
    }
    let inner = |random: &mut Rng| time(random, depth - 1);
    match random.u8(..5) {
        0 => format!(
            "date_trunc('{}', {})",
            one_of(random, &["second", "minute", "hour", "week"]),
            inner(random)
        ),
        1 => format!(
            "({} + INTERVAL '{}')",
            inner(random),
            one_of(random, &["1 hour", "-90 seconds", "1 month"])
        ),
        2 => format!("({}::date + 1)::timestamptz", inner(random)),
        _ => inner(random),
    }
}

/// A query as it is written: nothing is made smaller, and `mz_now()` is a point in time like any other.
pub(crate) struct Written(Box<ast::Query>);

impl Written {
    pub(crate) fn new(sql: &str) -> Self {
        let mut statements = parse(&sql.replace("mz_now()", "$1")).unwrap();
        match statements.remove(0) {
            Statement::Select(query) => Written(query),
            other => panic!("{other:?}"),
        }
    }

    /// Its plan when it is `now_ms`.
    pub(crate) fn plan(&self, relations: &dyn Relations, now_ms: u64) -> Result<Plan, SqlError> {
        let now = Value::TimestampTz(now_ms as i64 * 1_000);
        let context = Context {
            parameters: Parameters::Values(&[(now, Type::TimestampTz)]),
            ..Context::new(relations, now_ms, Purpose::Once)
        };
        let ordered = Binder::new(&context).ordered_query(&self.0, &outermost())?;
        Ok(ordered.planned().plan)
    }
}
