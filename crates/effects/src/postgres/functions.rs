//! Which built-in functions only compute, and what the others can do (RULES.md 5).
//!
//! A function of `pg_catalog` is safe if the server calls it immutable or stable and it is not in [`DANGEROUS`], or if it
//! is in [`SAFE_VOLATILE`]. All other volatile functions that have no entry are `admin`: nothing new is ever safe by
//! default. Reviewed against `pg_proc` of PostgreSQL 15, and the release notes of 16, 17 and 18.

use model::effect::FunctionClass;

/// What a function of `pg_catalog` can do. `volatility` is `pg_proc.provolatile`.
pub(super) fn classify(name: &str, volatility: u8) -> FunctionClass {
    if let Some((_, class)) = DANGEROUS.iter().find(|(entry, _)| fits(entry, name)) {
        return *class;
    }
    match volatility {
        b'i' | b's' => FunctionClass::Safe,
        _ if SAFE_VOLATILE.iter().any(|entry| fits(entry, name)) => FunctionClass::Safe,
        _ => FunctionClass::Admin,
    }
}

/// Whether a function runs a query of its own whose operators are looked up in the session's search path, so that a
/// schema before `pg_catalog` decides what runs (`ruleutils.c`).
pub(super) fn looks_up_operators(name: &str) -> bool {
    matches!(name, "pg_get_viewdef" | "pg_get_ruledef")
}

/// An entry that ends in `*` stands for every name with that beginning.
fn fits(entry: &str, name: &str) -> bool {
    entry.strip_suffix('*').map_or(entry == name, |prefix| name.starts_with(prefix))
}

/// What is not safe whatever its volatility label says; the first entry that fits counts.
const DANGEROUS: &[(&str, FunctionClass)] = &[
    // They run SQL that they get as text, or read relations that they get by name.
    ("query_to_xml*", FunctionClass::DynamicSql),
    ("table_to_xml*", FunctionClass::DynamicSql),
    ("cursor_to_xml*", FunctionClass::DynamicSql),
    ("schema_to_xml*", FunctionClass::DynamicSql),
    ("database_to_xml*", FunctionClass::DynamicSql),
    ("ts_stat", FunctionClass::DynamicSql),
    ("ts_rewrite", FunctionClass::DynamicSql),
    ("currtid*", FunctionClass::DynamicSql),
    // They make a value of a type that they get by its oid or its name, with the checks of its domains.
    ("domain_*", FunctionClass::DynamicSql),
    ("array_in", FunctionClass::DynamicSql),
    ("array_recv", FunctionClass::DynamicSql),
    ("record_in", FunctionClass::DynamicSql),
    ("record_recv", FunctionClass::DynamicSql),
    ("range_in", FunctionClass::DynamicSql),
    ("range_recv", FunctionClass::DynamicSql),
    ("multirange_in", FunctionClass::DynamicSql),
    ("multirange_recv", FunctionClass::DynamicSql),
    ("pg_input_*", FunctionClass::DynamicSql),
    // Sequences.
    ("nextval", FunctionClass::Sequence),
    ("currval", FunctionClass::Sequence),
    ("lastval", FunctionClass::Sequence),
    ("setval", FunctionClass::Sequence),
    ("pg_sequence_last_value", FunctionClass::Sequence),
    ("pg_get_sequence_data", FunctionClass::Sequence),
    // Settings, time, locks.
    ("set_config", FunctionClass::Config),
    ("pg_sleep*", FunctionClass::Sleep),
    ("pg_advisory_*", FunctionClass::AdvisoryLock),
    ("pg_try_advisory_*", FunctionClass::AdvisoryLock),
    // Large objects.
    ("lo_import", FunctionClass::FileAccess),
    ("lo_export", FunctionClass::FileAccess),
    ("lo_*", FunctionClass::LargeObject),
    ("loread", FunctionClass::LargeObject),
    ("lowrite", FunctionClass::LargeObject),
    // Files of the server.
    ("pg_read_file*", FunctionClass::FileAccess),
    ("pg_read_binary_file", FunctionClass::FileAccess),
    ("pg_ls_*", FunctionClass::FileAccess),
    ("pg_stat_file", FunctionClass::FileAccess),
    ("pg_hba_file_rules", FunctionClass::FileAccess),
    ("pg_ident_file_mappings", FunctionClass::FileAccess),
    ("pg_show_all_file_settings", FunctionClass::FileAccess),
    ("pg_current_logfile", FunctionClass::FileAccess),
    ("pg_logdir_ls", FunctionClass::FileAccess),
    ("pg_file_*", FunctionClass::FileAccess),
    // Processes.
    ("pg_terminate_backend", FunctionClass::Process),
    ("pg_cancel_backend", FunctionClass::Process),
    ("pg_log_backend_memory_contexts", FunctionClass::Process),
    ("pg_signal_*", FunctionClass::Process),
    // Replication and WAL.
    ("pg_logical_*", FunctionClass::Replication),
    ("pg_create_logical_replication_slot", FunctionClass::Replication),
    ("pg_create_physical_replication_slot", FunctionClass::Replication),
    ("pg_copy_logical_replication_slot", FunctionClass::Replication),
    ("pg_copy_physical_replication_slot", FunctionClass::Replication),
    ("pg_drop_replication_slot", FunctionClass::Replication),
    ("pg_replication_slot_advance", FunctionClass::Replication),
    ("pg_sync_replication_slots", FunctionClass::Replication),
    ("pg_replication_origin_oid", FunctionClass::Safe),
    ("pg_replication_origin_*", FunctionClass::Replication),
    ("pg_export_snapshot", FunctionClass::Replication),
    // They show what other sessions do, or samples of what columns hold.
    ("pg_stat_get_activity", FunctionClass::Admin),
    ("pg_stat_get_backend_activity", FunctionClass::Admin),
    ("pg_mcv_list_items", FunctionClass::Admin),
    ("pg_mcv_list_out", FunctionClass::Admin),
    ("pg_config", FunctionClass::Admin),
    ("binary_upgrade_*", FunctionClass::Admin),
    // It is a notification, and has that effect as well.
    ("pg_notify", FunctionClass::Safe),
];

/// Whether a safe function may answer otherwise in each row.
pub(super) fn varies(name: &str) -> bool {
    SAFE_VOLATILE.iter().any(|entry| fits(entry, name))
}

/// Volatile functions that only compute, or only look at the state of the server or the session.
const SAFE_VOLATILE: &[&str] = &[
    "clock_timestamp",
    "timeofday",
    "random",
    "random_normal",
    "setseed",
    "gen_random_uuid",
    "uuidv4",
    "uuidv7",
    "current_query",
    "pg_is_in_recovery",
    "pg_blocking_pids",
    "pg_safe_snapshot_blocking_pids",
    "pg_isolation_test_session_is_blocked",
    "txid_status",
    "pg_xact_status",
    "pg_xact_commit_timestamp*",
    "pg_last_committed_xact",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_current_wal_flush_lsn",
    "pg_current_wal_insert_lsn",
    "pg_current_wal_lsn",
    "pg_is_wal_replay_paused",
    "pg_get_wal_replay_pause_state",
    "pg_database_size",
    "pg_relation_size",
    "pg_table_size",
    "pg_indexes_size",
    "pg_total_relation_size",
    "pg_tablespace_size",
    "pg_partition_tree",
    "pg_partition_ancestors",
    "pg_collation_actual_version",
    "pg_database_collation_actual_version",
    "pg_jit_available",
    "pg_notification_queue_usage",
    "pg_stat_clear_snapshot",
    "pg_stat_get_xact_*",
    "pg_stat_have_stats",
    "pg_lock_status",
    "pg_prepared_xact",
    "pg_get_multixact_members",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_the_class_of_what_they_can_do() {
        for (name, volatility, expected) in [
            ("lower", b'i', FunctionClass::Safe),
            ("current_setting", b's', FunctionClass::Safe),
            ("pg_backend_pid", b's', FunctionClass::Safe),
            ("table_to_xml", b's', FunctionClass::DynamicSql),
            ("ts_rewrite", b'v', FunctionClass::DynamicSql),
            ("pg_read_file", b'v', FunctionClass::FileAccess),
            ("lo_export", b'v', FunctionClass::FileAccess),
            ("lo_get", b'v', FunctionClass::LargeObject),
            ("nextval", b'v', FunctionClass::Sequence),
            ("pg_is_in_recovery", b'v', FunctionClass::Safe),
            ("pg_reload_conf", b'v', FunctionClass::Admin),
            ("made_up_tomorrow", b'v', FunctionClass::Admin),
            ("pg_sleep_for", b'v', FunctionClass::Sleep),
            ("pg_terminate_backend", b'v', FunctionClass::Process),
        ] {
            assert_eq!(classify(name, volatility), expected, "{name}");
        }
    }
}
