//! What is neither SELECT nor INSERT, UPDATE, DELETE or MERGE: transactions, settings, names, maintenance.

use std::sync::Arc;

use model::effect::{ColumnName, Effect, FunctionClass, Object, SettingClass, TableKind, Verb};
use model::lineage::{LiteralRole, Origin, Output, OutputColumn};
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{
    CallStmt, CreateTableAsStmt, DiscardStmt, ExplainStmt, IntoClause, LockStmt, TransactionStmt, VacuumStmt,
    VariableSetStmt,
};
use pg_raw_parse::{ConstValue, Node, raw};

use super::Body;
use super::value::Outputs;
use super::walk::{Spot, Walk};
use crate::postgres::{NameUse, Own, OwnSetting, Statement, TransactionStep, secrets, settings};

impl Walk<'_> {
    pub(super) fn utility(&mut self, node: Node<'_>) -> Body {
        match node {
            Node::TransactionStmt(statement) => self.transaction(statement),
            Node::VariableSetStmt(set) => self.variable_set(set),
            Node::VariableShowStmt(show) => self.show(show.name().unwrap_or_default()),
            Node::DiscardStmt(discard) => self.discard(discard),
            Node::PrepareStmt(prepare) => self.prepare(prepare),
            Node::ExecuteStmt(execute) => self.execute(execute),
            Node::DeallocateStmt(statement) => {
                self.on_database(Verb::Transaction);
                let name = statement.name().filter(|_| !statement.isall);
                Body { names: Some(NameUse::Deallocate(name.map(Into::into))), ..Body::of("DEALLOCATE") }
            }
            Node::DeclareCursorStmt(declare) => self.declare(declare),
            Node::FetchStmt(fetch) => self.fetch(fetch),
            Node::ClosePortalStmt(close) => {
                self.on_database(Verb::Transaction);
                Body { names: Some(NameUse::Close(close.portalname().map(Into::into))), ..Body::of("CLOSE CURSOR") }
            }
            Node::ListenStmt(listen) => self.channel(Verb::Listen, listen.conditionname(), "LISTEN"),
            Node::UnlistenStmt(unlisten) => self.channel(Verb::Listen, unlisten.conditionname(), "UNLISTEN"),
            Node::NotifyStmt(notify) => self.channel(Verb::Notify, notify.conditionname(), "NOTIFY"),
            Node::ExplainStmt(explain) => self.explain(explain),
            Node::CreateTableAsStmt(create) => self.create_table_as(create),
            Node::CopyStmt(copy) => self.copy(copy),
            Node::CallStmt(call) => self.call_procedure(call),
            Node::DoStmt(_) => {
                self.opaque("it is a DO block");
                Body::of("DO")
            }
            Node::LockStmt(lock) => self.lock(lock),
            Node::VacuumStmt(vacuum) => self.vacuum(vacuum),
            Node::ConstraintsSetStmt(_) => {
                self.on_database(Verb::Transaction);
                Body::of("SET CONSTRAINTS")
            }
            Node::CheckPointStmt(_) => {
                self.on_database(Verb::Maintain);
                Body::of("CHECKPOINT")
            }
            Node::TruncateStmt(truncate) => {
                self.truncate(truncate);
                Body::of("TRUNCATE TABLE")
            }
            Node::ClusterStmt(cluster) => {
                // From then on rows come in the order of the index.
                self.in_table(cluster.relation(), |walk, relation| {
                    let all = walk.columns_numbered(relation, &[0]);
                    walk.filters(&all);
                });
                self.maintain(cluster.relation(), "CLUSTER")
            }
            Node::ReindexStmt(reindex) => self.reindex(reindex),
            Node::RefreshMatViewStmt(refresh) => {
                if let Some(relation) = refresh.relation().and_then(|name| self.relation(name, Verb::Maintain)) {
                    self.mentions(relation);
                    self.on_table(Verb::Maintain, relation);
                    self.runs_view(relation);
                    self.run_hooks(relation, 'a');
                }
                Body::of("REFRESH MATERIALIZED VIEW")
            }
            node => self.definition(node),
        }
    }

    fn transaction(&mut self, statement: &TransactionStmt) -> Body {
        use raw::TransactionStmtKind as Kind;
        self.on_database(Verb::Transaction);
        if let Kind::TRANS_STMT_PREPARE | Kind::TRANS_STMT_COMMIT_PREPARED | Kind::TRANS_STMT_ROLLBACK_PREPARED =
            statement.kind
        {
            // It holds its locks when the session is gone, and whoever knows its name ends it, whoever made it.
            self.on_database(Verb::Maintain);
        }
        let savepoint = || Arc::<str>::from(statement.savepoint_name().unwrap_or_default());
        let gid = || Arc::<str>::from(statement.gid().unwrap_or_default());
        let chain = statement.chain;
        let (kind, step) = match statement.kind {
            Kind::TRANS_STMT_BEGIN => ("BEGIN", TransactionStep::Begin),
            Kind::TRANS_STMT_START => ("START TRANSACTION", TransactionStep::Begin),
            Kind::TRANS_STMT_COMMIT => ("COMMIT", TransactionStep::Commit { chain }),
            Kind::TRANS_STMT_ROLLBACK => ("ROLLBACK", TransactionStep::Rollback { chain }),
            Kind::TRANS_STMT_SAVEPOINT => ("SAVEPOINT", TransactionStep::Savepoint(savepoint())),
            Kind::TRANS_STMT_RELEASE => ("RELEASE", TransactionStep::Release(savepoint())),
            Kind::TRANS_STMT_ROLLBACK_TO => ("ROLLBACK", TransactionStep::RollbackTo(savepoint())),
            Kind::TRANS_STMT_PREPARE => ("PREPARE TRANSACTION", TransactionStep::Prepare(gid())),
            Kind::TRANS_STMT_COMMIT_PREPARED => ("COMMIT PREPARED", TransactionStep::CommitPrepared(gid())),
            Kind::TRANS_STMT_ROLLBACK_PREPARED => ("ROLLBACK PREPARED", TransactionStep::RollbackPrepared(gid())),
            _ => {
                self.opaque("it is a transaction statement that is not understood");
                return Body::of("TRANSACTION");
            }
        };
        self.plain_constants(statement.options());
        self.access_modes(statement.options());
        Body { transaction: Some(step), ..Body::of(kind) }
    }

    /// READ ONLY and READ WRITE among a transaction's modes.
    fn access_modes(&mut self, list: &NodeList) {
        for item in list {
            let Node::DefElem(option) = item else { continue };
            if option.defname() == Some("transaction_read_only") {
                let read_only = matches!(option.arg(), Node::A_Const(constant)
                    if matches!(constant.val(), Some(ConstValue::Integer(1) | ConstValue::Boolean(true))));
                self.changes.read_write |= !read_only;
            }
        }
    }

    /// Constants in options: they hold no column's value.
    fn plain_constants(&mut self, list: &NodeList) {
        for item in list {
            let inner = match item {
                Node::DefElem(option) => option.arg(),
                other => other,
            };
            if let Node::A_Const(constant) = inner
                && let Ok(at) = usize::try_from(constant.location)
            {
                self.roles.push((Spot::Constant(at), LiteralRole::Plain));
            }
        }
    }

    fn variable_set(&mut self, set: &VariableSetStmt) -> Body {
        use raw::VariableSetKind as Kind;
        let name = set.name().unwrap_or_default();
        if let Some(own) = own_setting(name) {
            return self.own_set(set, own);
        }
        match set.kind {
            Kind::VAR_SET_VALUE => {
                self.plain_constants(set.args());
                let value = self.setting_value(set.args());
                let class = settings::classify_value(name, value.as_deref());
                self.sets(name, class, set.is_local);
                self.changes.read_write |= settings::lifts_read_only(name, value.as_deref());
                Body::of("SET")
            }
            // DEFAULT and RESET go back to what Sluice started the session with.
            Kind::VAR_SET_DEFAULT | Kind::VAR_RESET | Kind::VAR_SET_CURRENT => {
                let class = settings::classify(name);
                let pinned = settings::pinned(name).is_some();
                self.sets(name, if pinned { SettingClass::Benign } else { class }, set.is_local);
                self.changes.state |= class == SettingClass::Meaning || settings::is_read_only(name);
                // It has no start of the session to go back to, only its own default.
                self.changes.read_write |= name.eq_ignore_ascii_case("transaction_read_only");
                Body::of(if set.kind == Kind::VAR_RESET { "RESET" } else { "SET" })
            }
            Kind::VAR_RESET_ALL => {
                self.effect(Verb::Set, Object::Setting("all".into(), SettingClass::Benign));
                self.changes.state = true;
                Body::of("RESET")
            }
            // SET TRANSACTION …, SET SESSION CHARACTERISTICS AS TRANSACTION …
            Kind::VAR_SET_MULTI if name != "TRANSACTION SNAPSHOT" => {
                self.plain_constants(set.args());
                self.access_modes(set.args());
                self.effect(Verb::Set, Object::Setting("transaction".into(), SettingClass::Benign));
                Body::of("SET")
            }
            Kind::VAR_SET_MULTI => {
                self.plain_constants(set.args());
                self.on_database(Verb::Transaction);
                Body::of("SET")
            }
            _ => {
                self.opaque("it sets something in a way that is not understood");
                Body::of("SET")
            }
        }
    }

    /// The value, if it is one constant.
    fn setting_value(&self, arguments: &NodeList) -> Option<String> {
        if arguments.len() != 1 {
            return None;
        }
        let Node::A_Const(constant) = arguments.get(0)? else { return None };
        match constant.val()? {
            ConstValue::String(text) | ConstValue::Float(text) => Some(text.to_owned()),
            ConstValue::Integer(number) => Some(number.to_string()),
            ConstValue::Boolean(on) => Some(if on { "on" } else { "off" }.to_owned()),
            _ => None,
        }
    }

    /// The value of one of Sluice's own settings. A token is not in the tree ([`secrets::without_own_token`]).
    fn own_value(&self, arguments: &NodeList) -> Option<String> {
        let in_tree = self.setting_value(arguments)?;
        let Some(Node::A_Const(constant)) = arguments.get(0) else { return None };
        let at = usize::try_from(constant.location).ok();
        let in_text = self.source.as_ref().and_then(|(source, _)| secrets::plain_string(source.text, at?));
        Some(in_text.map_or(in_tree, str::to_owned))
    }

    /// `SET sluice.…`: for Sluice itself. A token must not be in any record.
    fn own_set(&mut self, set: &VariableSetStmt, setting: OwnSetting) -> Body {
        self.on_database(Verb::Transaction);
        for constant in set.args() {
            if let Node::A_Const(constant) = constant
                && let Ok(at) = usize::try_from(constant.location)
            {
                let role = if setting == OwnSetting::Reason { LiteralRole::Plain } else { LiteralRole::Secret };
                self.roles.push((Spot::Constant(at), role));
            }
        }
        let own = match (set.kind, self.own_value(set.args())) {
            (raw::VariableSetKind::VAR_SET_VALUE, Some(value)) => Own::Set { setting, value, local: set.is_local },
            (raw::VariableSetKind::VAR_RESET | raw::VariableSetKind::VAR_SET_DEFAULT, _) => Own::Reset(setting),
            _ => {
                self.opaque("it sets one of Sluice's own settings to something that is not a constant");
                return Body::of("SET");
            }
        };
        Body { own: Some(own), ..Body::of("SET") }
    }

    fn show(&mut self, name: &str) -> Body {
        self.on_database(Verb::Evaluate);
        let column = |name: &str| OutputColumn { name: name.into(), origin: Origin::Constant };
        let columns: &[&str] = if name == "all" { &["name", "setting", "description"] } else { &[name] };
        let output = Output::Rows(columns.iter().map(|name| column(name)).collect());
        let own = own_setting(name).map(Own::Show);
        if own.is_none() && is_own(name) {
            self.opaque("Sluice has no such setting");
        }
        Body { output: Some(output), own, ..Body::of("SHOW") }
    }

    fn discard(&mut self, discard: &DiscardStmt) -> Body {
        self.on_database(Verb::Transaction);
        match discard.target {
            raw::DiscardMode::DISCARD_ALL => {
                self.changes.state = true;
                self.changes.temporary = true;
                Body { names: Some(NameUse::DiscardAll), ..Body::of("DISCARD ALL") }
            }
            raw::DiscardMode::DISCARD_TEMP => {
                self.changes.temporary = true;
                Body::of("DISCARD TEMP")
            }
            _ => Body::of("DISCARD"),
        }
    }

    fn channel(&mut self, verb: Verb, name: Option<&str>, kind: &'static str) -> Body {
        self.effect(verb, Object::Channel(name.unwrap_or("*").into()));
        Body::of(kind)
    }

    fn explain(&mut self, explain: &ExplainStmt) -> Body {
        let mut analyze = false;
        for option in explain.options() {
            let on = !matches!(
                option.arg(),
                Node::String(value) if matches!(value.sval(), Some("false" | "off" | "0"))
            ) && !matches!(option.arg(), Node::Boolean(value) if !value.boolval)
                && !matches!(option.arg(), Node::Integer(value) if value.ival == 0);
            let plain = matches!(option.arg(), Node::None | Node::String(_) | Node::Boolean(_) | Node::Integer(_));
            if !plain {
                self.opaque("its EXPLAIN option is not understood");
            }
            if option.defname() == Some("analyze") {
                analyze |= on;
            }
        }
        let inner = self.inner(explain.query());
        if analyze {
            self.adopt(&inner);
        } else {
            self.adopt_plan(&inner);
        }
        // A plan shows constants, and how many rows of what there are: it is masked like what it is about.
        let columns = vec![OutputColumn { name: "QUERY PLAN".into(), origin: Origin::Unknown }];
        let names = match &inner.names {
            Some(execute @ NameUse::Execute { .. }) => Some(execute.clone()),
            _ => None,
        };
        let parameters = inner.parameters.clone();
        Body { output: Some(Output::Rows(columns)), names, parameters, ..Body::of("EXPLAIN") }
    }

    /// Only planned, not run: what would be written is looked at. Constant folding still runs immutable functions.
    fn adopt_plan(&mut self, inner: &Statement) {
        let (bounded, mut changes) = (self.bounded, self.changes);
        self.adopt(inner);
        self.bounded = bounded;
        changes.state = self.changes.state;
        self.changes = changes;
        let effects = std::mem::take(&mut self.effects);
        for effect in effects {
            let demoted = match (effect.verb, &effect.object) {
                (Verb::Insert | Verb::Update | Verb::Delete | Verb::Truncate | Verb::Ddl, Object::Table(..)) => {
                    Effect::new(Verb::Select, effect.object)
                }
                (Verb::Insert | Verb::Update | Verb::Ddl | Verb::Declassify | Verb::Set | Verb::Notify, _) => continue,
                _ => effect,
            };
            self.effects.insert(demoted);
        }
        if self.effects.is_empty() {
            self.on_database(Verb::Evaluate);
        }
    }

    fn create_table_as(&mut self, create: &CreateTableAsStmt) -> Body {
        let materialized = create.objtype == raw::ObjectType::OBJECT_MATVIEW;
        let kind = if materialized { "CREATE MATERIALIZED VIEW" } else { "CREATE TABLE AS" };
        let mut body = Body::of(kind);
        let outputs = match create.query() {
            Node::ExecuteStmt(execute) => {
                let inner = self.execute(execute);
                body.names = inner.names;
                // What the prepared statement shows is not followed into the new table.
                self.opaque("it makes a table of what a prepared statement answers");
                Outputs { columns: Vec::new(), wild: true }
            }
            query => self.subquery(query),
        };
        self.creates_from(create.into(), &outputs, if materialized { TableKind::Matview } else { TableKind::Table });
        body
    }

    /// SELECT INTO, CREATE TABLE AS: a new relation that holds the query's values without their classes.
    pub(super) fn creates_from(&mut self, into: Option<&IntoClause>, outputs: &Outputs, kind: TableKind) {
        let Some(name) = into.and_then(IntoClause::rel) else {
            self.opaque("it makes a table without a name");
            return;
        };
        let table = self.new_relation(name, kind);
        for (at, (column, value)) in outputs.columns.iter().enumerate() {
            self.deliver(value);
            let renamed = into.and_then(|into| into.col_names().get(at)).and_then(Node::as_str);
            let target = ColumnName::new(table.clone(), renamed.unwrap_or(column));
            self.declassifies_to(value, Some(target).filter(|target| &*target.table.schema != "pg_temp"));
        }
    }

    fn call_procedure(&mut self, call: &CallStmt) -> Body {
        self.changes.state = true;
        self.anything = true;
        if let Some(function) = call.funccall() {
            self.call(function);
        } else {
            self.opaque("it calls nothing");
        }
        Body { output: Some(Output::Unknown), ..Body::of("CALL") }
    }

    fn lock(&mut self, lock: &LockStmt) -> Body {
        for name in lock.relations() {
            match name {
                Node::RangeVar(name) => {
                    if let Some(relation) = self.relation(name, Verb::Maintain) {
                        self.mentions(relation);
                        self.on_table(Verb::Maintain, relation);
                    }
                }
                _ => {
                    self.opaque("it locks something that is not understood");
                }
            }
        }
        Body::of("LOCK TABLE")
    }

    fn vacuum(&mut self, vacuum: &VacuumStmt) -> Body {
        let kind = if vacuum.is_vacuumcmd { "VACUUM" } else { "ANALYZE" };
        if vacuum.rels().is_empty() {
            self.on_database(Verb::Maintain);
        }
        for item in vacuum.rels() {
            self.maintain(item.relation(), kind);
        }
        Body::of(kind)
    }

    pub(super) fn maintain(&mut self, name: Option<&pg_raw_parse::nodes::RangeVar>, kind: &'static str) -> Body {
        match name {
            Some(name) => {
                if let Some(relation) = self.relation(name, Verb::Maintain) {
                    self.mentions(relation);
                    self.on_table(Verb::Maintain, relation);
                    self.run_hooks(relation, 'a');
                }
            }
            None => self.on_database(Verb::Maintain),
        }
        Body::of(kind)
    }

    fn reindex(&mut self, reindex: &pg_raw_parse::nodes::ReindexStmt) -> Body {
        match (reindex.kind, reindex.relation()) {
            (raw::ReindexObjectType::REINDEX_OBJECT_TABLE, Some(name)) => self.maintain(Some(name), "REINDEX"),
            _ => {
                self.on_database(Verb::Maintain);
                Body::of("REINDEX")
            }
        }
    }

    pub(super) fn executes_builtin(&mut self, name: &str, class: FunctionClass) {
        self.executes(Self::builtin(name), class);
    }
}

fn own_setting(name: &str) -> Option<OwnSetting> {
    match name.to_ascii_lowercase().as_str() {
        "sluice.token" => Some(OwnSetting::Token),
        "sluice.user_token" => Some(OwnSetting::UserToken),
        "sluice.reason" => Some(OwnSetting::Reason),
        _ => None,
    }
}

fn is_own(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with("sluice.")
}
