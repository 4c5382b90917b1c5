//! The golden files leave out nothing that the grammar can say: each kind of node that the parser makes of a text stands
//! in one of their statements. A kind that a new version of the grammar brings does not compile here until somebody has
//! decided what it is.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeSet;

use pg_raw_parse::Node;

/// Every kind of node, by who makes it.
macro_rules! kinds {
    (parser: $($parser:ident)+; server: $($server:ident)+;) => {
        const PARSER: &[&str] = &[$(stringify!($parser)),+];
        const SERVER: &[&str] = &[$(stringify!($server)),+];

        /// Without a wildcard: this is what the compiler compares with the grammar.
        const fn is_listed(node: &Node<'_>) -> bool {
            match node {
                // A part that the bindings have no name for is `Invalid`.
                Node::None | Node::NodeList(_) | Node::Invalid(_) => true,
                $(Node::$parser(_))|+ => true,
                $(Node::$server(_))|+ => true,
            }
        }
    };
}

kinds! {
    // What a text can be made of.
    parser:
        Alias RangeVar IntoClause GroupingFunc MergeSupportFunc NamedArgExpr BoolExpr SubLink CaseExpr
        CaseWhen RowExpr CoalesceExpr MinMaxExpr SQLValueFunction XmlExpr JsonFormat JsonReturning
        JsonValueExpr JsonIsPredicate JsonBehavior NullTest BooleanTest SetToDefault CurrentOfExpr JoinExpr
        Integer Float Boolean String BitString TypeName ColumnRef ParamRef A_Expr A_Const TypeCast
        CollateClause RoleSpec FuncCall A_Star A_Indices A_Indirection A_ArrayExpr ResTarget MultiAssignRef
        SortBy WindowDef RangeSubselect RangeFunction RangeTableFunc RangeTableFuncCol RangeTableSample
        ColumnDef TableLikeClause IndexElem DefElem LockingClause XmlSerialize PartitionElem PartitionSpec
        PartitionBoundSpec PartitionCmd GroupingSet WithClause InferClause
        OnConflictClause CTESearchClause CTECycleClause CommonTableExpr MergeWhenClause ReturningOption
        ReturningClause TriggerTransition JsonOutput JsonArgument JsonFuncExpr JsonTablePathSpec JsonTable
        JsonTableColumn JsonKeyValue JsonParseExpr JsonScalarExpr JsonSerializeExpr JsonObjectConstructor
        JsonArrayConstructor JsonArrayQueryConstructor JsonAggConstructor JsonObjectAgg JsonArrayAgg
        InsertStmt DeleteStmt UpdateStmt MergeStmt SelectStmt ReturnStmt CreateSchemaStmt AlterTableStmt
        AlterTableCmd ATAlterConstraint ReplicaIdentityStmt AlterCollationStmt AlterDomainStmt GrantStmt
        ObjectWithArgs AccessPriv GrantRoleStmt AlterDefaultPrivilegesStmt CopyStmt VariableSetStmt
        VariableShowStmt CreateStmt Constraint CreateTableSpaceStmt DropTableSpaceStmt
        AlterTableSpaceOptionsStmt AlterTableMoveAllStmt CreateExtensionStmt AlterExtensionStmt
        AlterExtensionContentsStmt CreateFdwStmt AlterFdwStmt CreateForeignServerStmt AlterForeignServerStmt
        CreateUserMappingStmt AlterUserMappingStmt DropUserMappingStmt ImportForeignSchemaStmt
        CreatePolicyStmt AlterPolicyStmt CreateAmStmt CreateTrigStmt CreateEventTrigStmt AlterEventTrigStmt
        CreatePLangStmt CreateRoleStmt AlterRoleStmt AlterRoleSetStmt DropRoleStmt CreateSeqStmt AlterSeqStmt
        DefineStmt CreateDomainStmt CreateOpClassStmt CreateOpClassItem CreateOpFamilyStmt AlterOpFamilyStmt
        DropStmt TruncateStmt CommentStmt SecLabelStmt DeclareCursorStmt ClosePortalStmt FetchStmt IndexStmt
        CreateStatsStmt StatsElem AlterStatsStmt CreateFunctionStmt FunctionParameter AlterFunctionStmt DoStmt
        CallStmt RenameStmt AlterObjectDependsStmt AlterObjectSchemaStmt AlterOwnerStmt AlterOperatorStmt
        AlterTypeStmt RuleStmt NotifyStmt ListenStmt UnlistenStmt TransactionStmt CompositeTypeStmt
        CreateEnumStmt CreateRangeStmt AlterEnumStmt ViewStmt LoadStmt CreatedbStmt AlterDatabaseStmt
        AlterDatabaseRefreshCollStmt AlterDatabaseSetStmt DropdbStmt AlterSystemStmt ClusterStmt VacuumStmt
        VacuumRelation ExplainStmt CreateTableAsStmt RefreshMatViewStmt CheckPointStmt DiscardStmt LockStmt
        ConstraintsSetStmt ReindexStmt CreateConversionStmt CreateCastStmt CreateTransformStmt PrepareStmt
        ExecuteStmt DeallocateStmt DropOwnedStmt ReassignOwnedStmt AlterTSDictionaryStmt
        AlterTSConfigurationStmt PublicationTable PublicationObjSpec CreatePublicationStmt
        AlterPublicationStmt CreateSubscriptionStmt AlterSubscriptionStmt DropSubscriptionStmt;
    // What the server's analysis or planner makes of it, what only PL/pgSQL's own parser makes, and what a tree hangs on.
    server:
        Bitmapset TableFunc Param Aggref WindowFunc WindowFuncRunCondition SubscriptingRef FuncExpr OpExpr
        ScalarArrayOpExpr SubPlan AlternativeSubPlan FieldSelect FieldStore CoerceViaIO ArrayCoerceExpr
        ConvertRowtypeExpr CollateExpr CaseTestExpr ArrayExpr RowCompareExpr JsonConstructorExpr JsonExpr
        MergeAction CoerceToDomain CoerceToDomainValue NextValueExpr InferenceElem ReturningExpr TargetEntry
        RangeTblRef FromExpr OnConflictExpr Query RangeTblEntry RTEPermissionInfo RangeTblFunction
        TableSampleClause WithCheckOption SortGroupClause WindowClause RowMarkClause SetOperationStmt
        CallContext InlineCodeBlock PLAssignStmt RawStmt PartitionRangeDatum;
}

/// The kinds of nodes in a tree, by its printed form, which walks into every statement.
fn kinds_of(tree: &str) -> BTreeSet<&str> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let ends = tree.char_indices().filter(|(_, c)| *c == '(' || *c == '{').map(|(at, _)| tree[..at].trim_end());
    ends.map(|before| before.rsplit(|c| !word(c)).next().unwrap()).collect()
}

/// A tree as text. The library cannot print a publication of all tables of a schema: then, as far as it comes.
fn printed(node: Node<'_>) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| write!(text, "{node:?}")));
    text
}

#[test]
fn every_kind_of_node_is_in_a_golden_statement() {
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(common::folder("golden")).unwrap() {
        let file = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for text in common::statements(&file) {
            let Ok(tree) = pg_raw_parse::parse(&text) else { continue };
            for raw in tree.iter() {
                assert!(is_listed(&raw.stmt()));
                seen.extend(kinds_of(&printed(raw.stmt())).into_iter().map(str::to_owned));
            }
        }
    }
    let missing: Vec<_> = PARSER.iter().filter(|kind| !seen.contains(**kind)).collect();
    assert!(missing.is_empty(), "no golden statement has {missing:?}");
    let made: Vec<_> = SERVER.iter().filter(|kind| seen.contains(**kind)).collect();
    assert!(made.is_empty(), "the parser makes {made:?} after all");
}
