//! The one table of settings (RULES.md 2), for StartupMessage parameters, `options=-c`, SET, RESET and `set_config`.
//!
//! A setting is benign if it only changes presentation, the session's own limits or how its own queries are planned; it
//! is `meaning` if it decides what text or names mean, or whose rights apply; every other one, known or not, is
//! `server`. A name with a dot is an extension's or an application's own and benign, but for extensions that act on
//! their settings.

use model::effect::SettingClass;

/// What changing a setting can do. Names compare without regard to case, as at the server.
pub fn classify(name: &str) -> SettingClass {
    let name = name.to_ascii_lowercase();
    if MEANING.contains(&name.as_str()) {
        SettingClass::Meaning
    } else if BENIGN.contains(&name.as_str())
        || name.contains('.') && !SERVER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    {
        SettingClass::Benign
    } else {
        SettingClass::Server
    }
}

/// The value that Sluice pins a setting to, if it does. Setting it to that value again is benign.
pub fn pinned(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    PINNED.iter().find(|(pinned, _)| *pinned == name).map(|(_, values)| values.first().copied().unwrap_or_default())
}

/// Whether `value` is what `name` is pinned to, in any of the spellings that the server takes.
pub fn is_pinned_value(name: &str, value: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let value = value.trim().to_ascii_lowercase();
    PINNED.iter().any(|(pinned, values)| *pinned == name && values.iter().any(|v| v.eq_ignore_ascii_case(&value)))
}

/// The class of setting `name` to `value`; `None` is a value that is not known before it runs. RESET and DEFAULT go back
/// to what the session started with, which Sluice chose, and are benign for settings that it pins.
pub fn classify_value(name: &str, value: Option<&str>) -> SettingClass {
    match value {
        Some(value) if is_pinned_value(name, value) => SettingClass::Benign,
        _ => classify(name),
    }
}

/// Whether a setting makes transactions read-only.
pub fn is_read_only(name: &str) -> bool {
    ["default_transaction_read_only", "transaction_read_only"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether setting `name` to `value` lets transactions write that could not.
pub fn lifts_read_only(name: &str, value: Option<&str>) -> bool {
    let on = |value: &str| ["on", "true", "yes", "1"].iter().any(|on| value.trim().eq_ignore_ascii_case(on));
    is_read_only(name) && !value.is_some_and(on)
}

/// Settings with the one value that Sluice relies on, and its spellings.
const PINNED: &[(&str, &[&str])] = &[
    ("client_encoding", &["UTF8", "utf-8", "unicode", "'utf8'", "'utf-8'"]),
    ("names", &["UTF8", "utf-8", "unicode"]),
    ("standard_conforming_strings", &["on", "true", "yes", "1"]),
    ("backslash_quote", &["safe_encoding"]),
    ("escape_string_warning", &["on", "true", "yes", "1"]),
];

const MEANING: &[&str] = &[
    "search_path",
    "role",
    "session_authorization",
    "standard_conforming_strings",
    "backslash_quote",
    "client_encoding",
    "names",
    "transform_null_equals",
    "array_nulls",
    "quote_all_identifiers",
    "default_table_access_method",
    "default_tablespace",
    "temp_tablespaces",
    "default_with_oids",
    "xmloption",
    "plpgsql.variable_conflict",
];

const SERVER_PREFIXES: &[&str] =
    &["sluice.", "auto_explain.", "pgaudit.", "pg_stat_statements.", "plperl.", "pltcl.", "pljava."];

const BENIGN: &[&str] = &[
    "application_name",
    "bytea_output",
    "datestyle",
    "intervalstyle",
    "timezone",
    "time zone",
    "timezone_abbreviations",
    "extra_float_digits",
    "escape_string_warning",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "xmlbinary",
    "client_min_messages",
    "statement_timeout",
    "lock_timeout",
    "deadlock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_keepalives_count",
    "tcp_user_timeout",
    "client_connection_check_interval",
    "default_transaction_isolation",
    "default_transaction_deferrable",
    // The wall behind Sluice's own: toggled by every connection pool that knows read-only transactions.
    "default_transaction_read_only",
    "transaction_read_only",
    "transaction_isolation",
    "transaction_deferrable",
    "transaction isolation level",
    "row_security",
    "check_function_bodies",
    "default_text_search_config",
    "gin_fuzzy_search_limit",
    "seed",
    "synchronize_seqscans",
    "synchronous_commit",
    "work_mem",
    "maintenance_work_mem",
    "temp_buffers",
    "hash_mem_multiplier",
    "logical_decoding_work_mem",
    "effective_cache_size",
    "effective_io_concurrency",
    "maintenance_io_concurrency",
    "plan_cache_mode",
    "constraint_exclusion",
    "cursor_tuple_fraction",
    "default_statistics_target",
    "from_collapse_limit",
    "join_collapse_limit",
    "geqo",
    "geqo_threshold",
    "jit",
    "jit_above_cost",
    "jit_inline_above_cost",
    "jit_optimize_above_cost",
    "random_page_cost",
    "seq_page_cost",
    "cpu_tuple_cost",
    "cpu_index_tuple_cost",
    "cpu_operator_cost",
    "parallel_setup_cost",
    "parallel_tuple_cost",
    "parallel_leader_participation",
    "max_parallel_workers_per_gather",
    "max_parallel_workers",
    "max_parallel_maintenance_workers",
    "min_parallel_table_scan_size",
    "min_parallel_index_scan_size",
    "force_parallel_mode",
    "debug_parallel_query",
    "recursive_worktable_factor",
    "enable_async_append",
    "enable_bitmapscan",
    "enable_distinct_reordering",
    "enable_gathermerge",
    "enable_group_by_reordering",
    "enable_hashagg",
    "enable_hashjoin",
    "enable_incremental_sort",
    "enable_indexonlyscan",
    "enable_indexscan",
    "enable_material",
    "enable_memoize",
    "enable_mergejoin",
    "enable_nestloop",
    "enable_parallel_append",
    "enable_parallel_hash",
    "enable_partition_pruning",
    "enable_partitionwise_aggregate",
    "enable_partitionwise_join",
    "enable_presorted_aggregate",
    "enable_self_join_elimination",
    "enable_seqscan",
    "enable_sort",
    "enable_tidscan",
];

/// Why a StartupMessage's `options` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`options` may hold only settings, each as -c name=value or --name=value")]
pub struct InvalidOptions;

/// Reads the settings of a StartupMessage's `options` (`-c name=value`, `-cname=value`, `--name=value`), split as the
/// server's `pg_split_opts` does: blanks separate, a backslash takes the next character as it is. A `-` in a name is a
/// `_`, as in `ParseLongOption`.
///
/// # Errors
/// If there is any other switch, or one without a value.
pub fn parse_options(options: &str) -> Result<Vec<(String, String)>, InvalidOptions> {
    let mut words = split_words(options).into_iter();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let pair = match word.strip_prefix("--") {
            Some(pair) => pair.to_owned(),
            None => match word.strip_prefix("-c") {
                Some("") => words.next().ok_or(InvalidOptions)?,
                Some(pair) => pair.to_owned(),
                None => return Err(InvalidOptions),
            },
        };
        let (name, value) = pair.split_once('=').ok_or(InvalidOptions)?;
        if name.is_empty() {
            return Err(InvalidOptions);
        }
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn split_words(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = options.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(rest.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_the_class_of_what_they_change() {
        for (name, expected) in [
            ("Application_Name", SettingClass::Benign),
            ("search_path", SettingClass::Meaning),
            ("role", SettingClass::Meaning),
            ("row_security", SettingClass::Benign),
            ("myapp.tenant", SettingClass::Benign),
            ("sluice.token", SettingClass::Server),
            ("log_statement", SettingClass::Server),
            ("session_preload_libraries", SettingClass::Server),
            ("made_up", SettingClass::Server),
        ] {
            assert_eq!(classify(name), expected, "{name}");
        }
        assert_eq!(classify_value("client_encoding", Some("utf-8")), SettingClass::Benign);
        assert_eq!(classify_value("client_encoding", Some("SJIS")), SettingClass::Meaning);
        assert_eq!(classify_value("standard_conforming_strings", Some("ON")), SettingClass::Benign);
        assert_eq!(classify_value("standard_conforming_strings", None), SettingClass::Meaning);
        assert_eq!(pinned("Client_Encoding"), Some("UTF8"));
    }

    #[test]
    fn options_are_read_as_the_server_reads_them() {
        let read = |options: &str| parse_options(options);
        let pairs = |list: &[(&str, &str)]| Ok(list.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect());
        assert_eq!(read(""), pairs(&[]));
        assert_eq!(read("-c a=b  --statement-timeout=5"), pairs(&[("a", "b"), ("statement_timeout", "5")]));
        assert_eq!(read(r"-csearch_path=a\ b\\c"), pairs(&[("search_path", r"a b\c")]));
        assert_eq!(
            read("-c intervalstyle=postgres_verbose -c datestyle=Postgres,MDY"),
            pairs(&[("intervalstyle", "postgres_verbose"), ("datestyle", "Postgres,MDY")])
        );
        for bad in ["-d 5", "x", "-c", "-c a", "--a", "-c =1", "-W 3"] {
            assert_eq!(read(bad), Err(InvalidOptions), "{bad}");
        }
    }
}
