//! What clients ask for and the engine has none of: indexes, constraints, triggers, comments and the like. These relations are
//! always empty, but a query that joins them must find them, with their columns.

use super::table::{Fill, Table};
use super::{INFORMATION_SCHEMA, PG_CATALOG};

/// Empty relations: a schema, and in it name, number and columns of each.
macro_rules! empty {
    ($($schema:ident . $name:ident = $oid:literal ($($column:ident $ty:ident),*),)*) => {
        &[$(&Table {
            schema: $schema,
            name: stringify!($name),
            oid: $oid,
            columns: &[$((stringify!($column), fill(stringify!($ty)))),*],
            rows: |_| Vec::new(),
        }),*]
    };
}

/// Nothing is ever there, so all that a column has is its type.
const fn fill(ty: &str) -> Fill {
    match ty.as_bytes() {
        b"int" => Fill::NoInt,
        b"bool" => Fill::Bool(false),
        b"double" => Fill::Double(0.0),
        _ => Fill::NoText,
    }
}

/// The relations without rows.
pub(super) const TABLES: &[&Table] = empty! {
    PG_CATALOG.pg_attrdef = 2604 (oid int, adrelid int, adnum int, adbin text, adsrc text),
    PG_CATALOG.pg_description = 2609 (objoid int, classoid int, objsubid int, description text),
    PG_CATALOG.pg_shdescription = 2396 (objoid int, classoid int, description text),
    PG_CATALOG.pg_index = 2610 (
        indexrelid int, indrelid int, indnatts int, indnkeyatts int, indisunique bool, indisprimary bool, indisexclusion
        bool, indimmediate bool, indisclustered bool, indisvalid bool, indcheckxmin bool, indisready bool, indislive bool,
        indisreplident bool, indkey text, indcollation text, indclass text, indoption text, indexprs text, indpred text
    ),
    PG_CATALOG.pg_constraint = 2606 (
        oid int, conname text, connamespace int, contype text, condeferrable bool, condeferred bool, convalidated bool,
        conrelid int, contypid int, conindid int, conparentid int, confrelid int, confupdtype text, confdeltype text,
        confmatchtype text, conislocal bool, coninhcount int, connoinherit bool, conkey text, confkey text, conbin text,
        consrc text
    ),
    PG_CATALOG.pg_default_acl = 826 (oid int, defaclrole int, defaclnamespace int, defaclobjtype text, defaclacl text),
    PG_CATALOG.pg_db_role_setting = 2964 (setdatabase int, setrole int, setconfig text),
    PG_CATALOG.pg_get_keywords = 12_110 (word text, catcode text, catdesc text),
    PG_CATALOG.pg_aggregate = 2600 (aggfnoid int, aggkind text, aggnumdirectargs int, aggtransfn int),
    PG_CATALOG.pg_operator = 2617 (
        oid int, oprname text, oprnamespace int, oprowner int, oprkind text, oprleft int, oprright int, oprresult int,
        oprcode int
    ),
    PG_CATALOG.pg_cast = 2605 (oid int, castsource int, casttarget int, castfunc int, castcontext text, castmethod text),
    PG_CATALOG.pg_conversion = 2607 (
        oid int, conname text, connamespace int, conowner int, conforencoding int, contoencoding int, conproc int, condefault bool
    ),
    PG_CATALOG.pg_auth_members = 1261 (roleid int, member int, grantor int, admin_option bool),
    PG_CATALOG.pg_inherits = 2611 (inhrelid int, inhparent int, inhseqno int, inhdetachpending bool),
    PG_CATALOG.pg_partitioned_table = 3350 (partrelid int, partstrat text, partnatts int, partattrs text),
    PG_CATALOG.pg_trigger = 2620 (
        oid int, tgrelid int, tgname text, tgfoid int, tgtype int, tgenabled text, tgisinternal bool, tgconstrrelid int,
        tgconstrindid int, tgconstraint int, tgdeferrable bool, tginitdeferred bool, tgnargs int, tgattr text, tgargs text,
        tgqual text, tgparentid int
    ),
    PG_CATALOG.pg_event_trigger = 3466 (
        oid int, evtname text, evtevent text, evtowner int, evtfoid int, evtenabled text, evttags text
    ),
    PG_CATALOG.pg_rewrite = 2618 (oid int, rulename text, ev_class int, ev_type text, ev_enabled text, is_instead bool),
    PG_CATALOG.pg_rules = 12_101 (schemaname text, tablename text, rulename text, definition text),
    PG_CATALOG.pg_policy = 3256 (
        oid int, polname text, polrelid int, polcmd text, polpermissive bool, polroles text, polqual text, polwithcheck text
    ),
    PG_CATALOG.pg_policies = 12_102 (schemaname text, tablename text, policyname text),
    PG_CATALOG.pg_enum = 3501 (oid int, enumtypid int, enumsortorder double, enumlabel text),
    PG_CATALOG.pg_range = 3541 (rngtypid int, rngsubtype int, rngcollation int, rngmultitypid int),
    PG_CATALOG.pg_extension = 3079 (
        oid int, extname text, extowner int, extnamespace int, extrelocatable bool, extversion text, extconfig text,
        extcondition text
    ),
    PG_CATALOG.pg_available_extensions = 12_103 (name text, default_version text, installed_version text, comment text),
    PG_CATALOG.pg_depend = 2608 (
        classid int, objid int, objsubid int, refclassid int, refobjid int, refobjsubid int, deptype text
    ),
    PG_CATALOG.pg_sequence = 2224 (
        seqrelid int, seqtypid int, seqstart int, seqincrement int, seqmax int, seqmin int, seqcache int, seqcycle bool
    ),
    PG_CATALOG.pg_sequences = 12_104 (schemaname text, sequencename text, sequenceowner text),
    PG_CATALOG.pg_foreign_table = 3118 (ftrelid int, ftserver int, ftoptions text),
    PG_CATALOG.pg_foreign_server = 1417 (
        oid int, srvname text, srvowner int, srvfdw int, srvtype text, srvversion text, srvoptions text
    ),
    PG_CATALOG.pg_foreign_data_wrapper = 2328 (
        oid int, fdwname text, fdwowner int, fdwhandler int, fdwvalidator int, fdwacl text, fdwoptions text
    ),
    PG_CATALOG.pg_indexes = 12_105 (schemaname text, tablename text, indexname text, tablespace text, indexdef text),
    PG_CATALOG.pg_matviews = 12_106 (
        schemaname text, matviewname text, matviewowner text, tablespace text, hasindexes bool, ispopulated bool, definition
        text
    ),
    PG_CATALOG.pg_locks = 12_107 (locktype text, database int, relation int, pid int, mode text, granted bool),
    PG_CATALOG.pg_publication = 6104 (oid int, pubname text, pubowner int, puballtables bool),
    PG_CATALOG.pg_publication_rel = 6106 (oid int, prpubid int, prrelid int),
    PG_CATALOG.pg_statistic_ext = 3381 (oid int, stxrelid int, stxname text, stxnamespace int, stxkind text),
    PG_CATALOG.pg_opclass = 2616 (
        oid int, opcmethod int, opcname text, opcnamespace int, opcowner int, opcfamily int, opcintype int, opcdefault bool,
        opckeytype int
    ),
    PG_CATALOG.pg_opfamily = 2753 (oid int, opfmethod int, opfname text, opfnamespace int, opfowner int),
    PG_CATALOG.pg_amop = 2602 (
        oid int, amopfamily int, amoplefttype int, amoprighttype int, amopstrategy int, amoppurpose text, amopopr int,
        amopmethod int, amopsortfamily int
    ),
    PG_CATALOG.pg_amproc = 2603 (
        oid int, amprocfamily int, amproclefttype int, amprocrighttype int, amprocnum int, amproc int
    ),
    PG_CATALOG.pg_ts_config = 3602 (oid int, cfgname text, cfgnamespace int, cfgowner int, cfgparser int),
    PG_CATALOG.pg_ts_dict = 3600 (
        oid int, dictname text, dictnamespace int, dictowner int, dicttemplate int, dictinitoption text
    ),
    PG_CATALOG.pg_ts_parser = 3601 (oid int, prsname text, prsnamespace int),
    PG_CATALOG.pg_ts_template = 3764 (oid int, tmplname text, tmplnamespace int, tmplinit int, tmpllexize int),
    PG_CATALOG.pg_user_mappings = 12_111 (umid int, srvid int, srvname text, umuser int, usename text, umoptions text),
    PG_CATALOG.pg_largeobject_metadata = 2995 (oid int, lomowner int, lomacl text),
    PG_CATALOG.pg_stat_user_indexes = 12_112 (
        relid int, indexrelid int, schemaname text, relname text, indexrelname text, idx_scan int, idx_tup_read int,
        idx_tup_fetch int
    ),
    PG_CATALOG.pg_statio_user_tables = 12_113 (relid int, schemaname text, relname text, heap_blks_read int, heap_blks_hit int),
    PG_CATALOG.pg_stats = 12_114 (
        schemaname text, tablename text, attname text, null_frac double, avg_width int, n_distinct double
    ),
    PG_CATALOG.pg_seclabel = 3596 (objoid int, classoid int, objsubid int, provider text, label text),
    PG_CATALOG.pg_subscription = 6100 (oid int, subdbid int, subname text, subowner int, subenabled bool),
    PG_CATALOG.pg_stat_user_tables = 12_108 (
        relid int, schemaname text, relname text, n_live_tup int, seq_scan int, idx_scan int
    ),
    PG_CATALOG.pg_prepared_xacts = 12_109 (transaction int, gid text, owner text, database text),
    INFORMATION_SCHEMA.table_constraints = 13_101 (
        constraint_catalog text, constraint_schema text, constraint_name text, table_catalog text, table_schema text,
        table_name text, constraint_type text, is_deferrable text, initially_deferred text
    ),
    INFORMATION_SCHEMA.key_column_usage = 13_102 (
        constraint_catalog text, constraint_schema text, constraint_name text, table_catalog text, table_schema text,
        table_name text, column_name text, ordinal_position int, position_in_unique_constraint int
    ),
    INFORMATION_SCHEMA.constraint_column_usage = 13_103 (
        table_catalog text, table_schema text, table_name text, column_name text, constraint_catalog text, constraint_schema
        text, constraint_name text
    ),
    INFORMATION_SCHEMA.referential_constraints = 13_104 (
        constraint_catalog text, constraint_schema text, constraint_name text, unique_constraint_catalog text,
        unique_constraint_schema text, unique_constraint_name text, match_option text, update_rule text, delete_rule text
    ),
    INFORMATION_SCHEMA.routines = 13_105 (
        specific_catalog text, specific_schema text, specific_name text, routine_catalog text, routine_schema text,
        routine_name text, routine_type text, data_type text, type_udt_name text, routine_definition text
    ),
    INFORMATION_SCHEMA.parameters = 13_106 (
        specific_schema text, specific_name text, ordinal_position int, parameter_mode text, parameter_name text, data_type
        text
    ),
    INFORMATION_SCHEMA.sequences = 13_107 (sequence_catalog text, sequence_schema text, sequence_name text, data_type text),
    INFORMATION_SCHEMA.triggers = 13_108 (
        trigger_catalog text, trigger_schema text, trigger_name text, event_object_schema text, event_object_table text
    ),
};
