//! The functions that clients call about the catalog and their own session, each as the SQL expression that it stands for: they
//! run over the same relations as everything else.

use super::{OWNER, Session};

/// The body of a function; its arguments are `$1`, `$2`, ...
pub(super) fn body(name: &str, arguments: usize, session: &Session) -> Option<String> {
    let quoted = |text: &str| Some(format!("'{}'", text.replace('\'', "''")));
    match (name, arguments) {
        ("current_database" | "current_catalog", 0) => quoted(&session.database),
        ("current_user" | "session_user" | "user" | "current_role", 0) => quoted(&session.user),
        ("pg_backend_pid", 0) => Some(session.pid.to_string()),
        ("mz_version", 0) => quoted(&mz_version()),
        ("version", 0) => quoted(&version()),
        ("pg_get_userbyid", 1) => quoted(OWNER),
        _ => fixed(name, arguments).map(str::to_owned),
    }
}

/// What `mz_version()` answers: by this, clients tell this engine from Materialize.
pub fn mz_version() -> String {
    format!("wikitop {} (embedded)", env!("CARGO_PKG_VERSION"))
}

fn version() -> String {
    format!(
        "PostgreSQL 9.5 on {}-{} (wikitop {})",
        std::env::consts::ARCH,
        std::env::consts::OS,
        env!("CARGO_PKG_VERSION")
    )
}

/// Functions whose body is the same for everybody.
fn fixed(name: &str, arguments: usize) -> Option<&'static str> {
    Some(match (name, arguments) {
        ("current_schema", 0) => "'public'",
        ("current_schemas", 1) => {
            "CASE WHEN $1 THEN '{pg_catalog,public}' ELSE '{public}' END"
        }
        ("format_type", 2) => {
            "(SELECT CASE t.typname
                WHEN 'bool' THEN 'boolean' WHEN 'int8' THEN 'bigint' WHEN 'int4' THEN 'integer' WHEN 'int2' THEN 'smallint'
                WHEN 'float8' THEN 'double precision' WHEN 'float4' THEN 'real' WHEN 'varchar' THEN 'character varying'
                WHEN 'timestamptz' THEN 'timestamp with time zone' WHEN 'timestamp' THEN 'timestamp without time zone'
                WHEN 'char' THEN '\"char\"' ELSE t.typname END
              FROM pg_catalog.pg_type AS t WHERE t.oid = $1)"
        }
        ("pg_table_is_visible", 1) => {
            "coalesce((SELECT c.relnamespace IN (11, 2200) FROM pg_catalog.pg_class AS c WHERE c.oid = $1), false)"
        }
        (
            "pg_type_is_visible" | "pg_function_is_visible" | "pg_operator_is_visible" | "pg_collation_is_visible"
            | "pg_conversion_is_visible" | "pg_statistics_obj_is_visible" | "pg_ts_config_is_visible"
            | "pg_ts_dict_is_visible" | "pg_ts_parser_is_visible" | "pg_ts_template_is_visible" | "pg_opclass_is_visible"
            | "pg_opfamily_is_visible",
            1,
        ) => "true",
        ("pg_get_viewdef", 1 | 2) => {
            "(SELECT v.definition FROM pg_catalog.pg_views AS v JOIN pg_catalog.pg_class AS c ON c.relname = v.viewname
              WHERE c.oid = $1 AND c.relnamespace = 2200)"
        }
        ("obj_description", 1 | 2) | ("shobj_description" | "col_description", 2) => {
            "CAST(NULL AS text)"
        }
        ("pg_get_expr", 2 | 3)
        | ("pg_get_constraintdef" | "pg_get_ruledef" | "pg_get_triggerdef", 1 | 2)
        | ("pg_get_indexdef", 1 | 3)
        | ("pg_get_partkeydef" | "pg_get_function_result" | "pg_get_function_arguments", 1)
        | ("pg_get_function_identity_arguments" | "pg_tablespace_location", 1)
        | ("pg_get_serial_sequence", 2) => "CAST(NULL AS text)",
        (
            "has_table_privilege" | "has_schema_privilege" | "has_database_privilege"
            | "has_function_privilege" | "has_any_column_privilege" | "pg_has_role"
            | "has_sequence_privilege" | "has_type_privilege",
            2 | 3,
        )
        | ("has_column_privilege", 3 | 4) => "true",
        ("pg_is_in_recovery" | "pg_is_wal_replay_paused", 0) | ("pg_is_other_temp_schema", 1) => {
            "false"
        }
        // Arrays are texts here, and those of names need no quotes.
        ("string_to_array", 2) => "'{' || replace($1, $2, ',') || '}'",
        ("parse_ident", 1) => "'{' || replace(replace($1, '\"', ''), '.', ',') || '}'",
        ("array_remove", 2) => {
            "CASE WHEN $1 IS NOT NULL THEN ARRAY(SELECT item FROM unnest($1) AS item WHERE item <> $2) END"
        }
        ("format", 2) => {
            "left($1, strpos($1, '%') - 1) || CASE substr($1, strpos($1, '%') + 1, 1) WHEN 'I' THEN quote_ident($2) ELSE $2 END
             || substr($1, strpos($1, '%') + 2)"
        }
        ("format", 3) => {
            "left($1, strpos($1, '%') - 1) || CASE substr($1, strpos($1, '%') + 1, 1) WHEN 'I' THEN quote_ident($2) ELSE $2 END
             || format(substr($1, strpos($1, '%') + 2), $3)"
        }
        // There are no locks; pools release them between their users all the same.
        ("pg_advisory_unlock_all", 0) => "CAST(NULL AS text)",
        ("pg_size_pretty", 1) => "CAST($1 AS text) || ' bytes'",
        ("pg_my_temp_schema", 0) => "0",
        ("pg_encoding_to_char", 1) => "'UTF8'",
        // What a setting is afterwards: here nothing but SET changes one.
        ("set_config", 3) => "current_setting($1)",
        ("getdatabaseencoding", 0) => "'UTF8'",
        ("pg_char_to_encoding", 1) => "6",
        ("pg_stat_get_numscans", 1) => "0",
        ("pg_relation_size" | "pg_total_relation_size" | "pg_table_size" | "pg_indexes_size", 1)
        | ("pg_database_size" | "pg_tablespace_size", 1) => "0",
        ("current_setting", 1 | 2) => {
            "(SELECT s.setting FROM pg_catalog.pg_settings AS s WHERE s.name = lower($1))"
        }
        // Names may be written with their schema, and quoted.
        ("to_regclass", 1) => {
            "(SELECT min(c.oid) FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
              WHERE replace($1, '\"', '') IN (c.relname, n.nspname || '.' || c.relname)
                AND (n.nspname IN ('public', 'pg_catalog') OR $1 LIKE '%.%'))"
        }
        ("to_regtype", 1) => {
            "(SELECT min(t.oid) FROM pg_catalog.pg_type AS t
              WHERE replace(replace($1, '\"', ''), 'pg_catalog.', '') IN (t.typname, pg_catalog.format_type(t.oid, -1)))"
        }
        ("to_regnamespace", 1) => {
            "(SELECT min(n.oid) FROM pg_catalog.pg_namespace AS n WHERE n.nspname = replace($1, '\"', ''))"
        }
        ("to_regproc", 1) => {
            "(SELECT min(p.oid) FROM pg_catalog.pg_proc AS p WHERE p.proname = replace($1, 'pg_catalog.', ''))"
        }
        ("to_regprocedure" | "to_regoper", 1) => "CAST(NULL AS bigint)",
        ("to_regrole", 1) => "10",
        ("regclassout", 1) => {
            "coalesce((SELECT c.relname FROM pg_catalog.pg_class AS c WHERE c.oid = $1), CAST($1 AS text))"
        }
        ("regtypeout", 1) => "coalesce(pg_catalog.format_type($1, -1), CAST($1 AS text))",
        ("regnamespaceout", 1) => {
            "coalesce((SELECT n.nspname FROM pg_catalog.pg_namespace AS n WHERE n.oid = $1), CAST($1 AS text))"
        }
        ("regprocout", 1) => {
            "coalesce((SELECT p.proname FROM pg_catalog.pg_proc AS p WHERE p.oid = $1), '-')"
        }
        ("regprocedureout" | "regoperout", 1) => "CAST($1 AS text)",
        ("regroleout", 1) => "'materialize'",
        _ => return None,
    })
}
