use super::*;
use BackendTag as Tag;

fn pipeline(sent: &[Sent]) -> Pipeline<usize> {
    let mut pipeline = Pipeline::default();
    for (number, sent) in sent.iter().enumerate() {
        assert_eq!(pipeline.push(*sent, number), Push::Forward);
    }
    pipeline
}

fn error(fatal: bool) -> Reply {
    Reply { fatal, ..Reply::plain(Tag::ErrorResponse) }
}

/// Feeds replies that have to be accepted.
fn feed(pipeline: &mut Pipeline<usize>, tags: &[Tag]) {
    for tag in tags {
        pipeline.receive(Reply::plain(*tag)).unwrap_or_else(|violation| panic!("{violation}"));
    }
}

/// Every reply that is accepted next, an error left aside.
fn admitted(sent: &[Sent], replies: &[Tag]) -> Vec<Tag> {
    let admits = |tag: &Tag| {
        let mut pipeline = pipeline(sent);
        feed(&mut pipeline, replies);
        pipeline.receive(Reply::plain(*tag)).is_ok()
    };
    let asynchronous = [Tag::NoticeResponse, Tag::NotificationResponse, Tag::ParameterStatus];
    assert!(asynchronous.iter().all(admits));
    let rest = Tag::ALL.iter().filter(|tag| !asynchronous.contains(tag) && **tag != Tag::ErrorResponse);
    rest.filter(|tag| admits(tag)).copied().collect()
}

#[test]
fn a_target_may_send_only_what_is_owed() {
    // SM-07: for each state, the complete list.
    let rows = [Tag::CommandComplete, Tag::DataRow];
    let query =
        [Tag::CommandComplete, Tag::CopyInResponse, Tag::CopyOutResponse, Tag::EmptyQueryResponse, Tag::RowDescription];
    let between =
        [Tag::CommandComplete, Tag::CopyInResponse, Tag::CopyOutResponse, Tag::ReadyForQuery, Tag::RowDescription];
    let execute = [
        Tag::CommandComplete,
        Tag::CopyInResponse,
        Tag::CopyOutResponse,
        Tag::DataRow,
        Tag::EmptyQueryResponse,
        Tag::PortalSuspended,
    ];
    let cases: [(&[Sent], &[Tag], &[Tag]); 22] = [
        (&[], &[], &[]),
        (&[Sent::Query], &[], &query),
        (&[Sent::Query], &[Tag::RowDescription], &rows),
        (&[Sent::Query], &[Tag::CommandComplete], &between),
        (&[Sent::Query], &[Tag::EmptyQueryResponse], &[Tag::ReadyForQuery]),
        (&[Sent::Query], &[Tag::CopyInResponse], &[]),
        (&[Sent::Query, Sent::CopyDone], &[Tag::CopyInResponse], &[Tag::CommandComplete]),
        (&[Sent::Query], &[Tag::CopyOutResponse], &[Tag::CopyData, Tag::CopyDone]),
        (&[Sent::Query], &[Tag::CopyOutResponse, Tag::CopyDone], &[Tag::CommandComplete]),
        (&[Sent::Query], &[Tag::CommandComplete, Tag::ReadyForQuery], &[]),
        (&[Sent::Parse], &[], &[Tag::ParseComplete]),
        (&[Sent::Bind], &[], &[Tag::BindComplete]),
        (&[Sent::Close], &[], &[Tag::CloseComplete]),
        (&[Sent::Sync], &[], &[Tag::ReadyForQuery]),
        (&[Sent::DescribeStatement], &[], &[Tag::ParameterDescription]),
        (&[Sent::DescribeStatement], &[Tag::ParameterDescription], &[Tag::NoData, Tag::RowDescription]),
        (&[Sent::DescribePortal], &[], &[Tag::NoData, Tag::RowDescription]),
        (&[Sent::Execute], &[], &execute),
        (&[Sent::Execute], &[Tag::DataRow], &[Tag::CommandComplete, Tag::DataRow, Tag::PortalSuspended]),
        (&[Sent::Execute, Sent::CopyFail], &[Tag::CopyInResponse], &[Tag::CommandComplete]),
        (&[Sent::FunctionCall], &[], &[Tag::FunctionCallResponse]),
        (&[Sent::FunctionCall], &[Tag::FunctionCallResponse], &[Tag::ReadyForQuery]),
    ];
    for (sent, replies, expected) in cases {
        assert_eq!(admitted(sent, replies), expected, "{sent:?} {replies:?}");
    }
}

#[test]
fn violations_say_what_was_wrong() {
    let mut idle = pipeline(&[]);
    let mut receive = |reply| idle.receive(reply).map(drop).unwrap_err();
    assert_eq!(receive(error(false)), Violation::Unsolicited(Tag::ErrorResponse));
    assert_eq!(receive(Reply::plain(Tag::ReadyForQuery)), Violation::Unsolicited(Tag::ReadyForQuery));
    for tag in [Tag::Authentication, Tag::BackendKeyData, Tag::NegotiateProtocolVersion] {
        assert_eq!(receive(Reply::plain(tag)), Violation::AfterStartup(tag));
    }
    assert_eq!(receive(Reply::plain(Tag::CopyBothResponse)), Violation::Replication);
    let mut parse = pipeline(&[Sent::Parse]);
    let early = parse.receive(Reply::DATA_ROW).map(drop).unwrap_err();
    assert_eq!(early, Violation::OutOfPlace { request: FrontendTag::Parse, reply: Tag::DataRow });
    let mut query = pipeline(&[Sent::Query]);
    query.receive(error(false)).unwrap();
    assert!(query.receive(error(false)).is_err());
}

#[test]
fn an_extended_error_drops_up_to_sync_and_skips_what_follows() {
    let mut waiting = pipeline(&[Sent::Parse, Sent::Bind, Sent::Query, Sent::Sync, Sent::Parse]);
    let Ok(Step::Finishes { entry: 0, dropped, .. }) = waiting.receive(error(false)) else { panic!() };
    assert_eq!(dropped.collect::<Vec<_>>(), [(Sent::Bind, 1), (Sent::Query, 2)]);
    assert_eq!(waiting.front(), Some((Sent::Sync, &3)));

    let mut open = pipeline(&[Sent::Parse]);
    open.receive(error(false)).unwrap();
    assert!(open.is_skipping() && open.is_empty());
    assert_eq!(open.push(Sent::Query, 7), Push::Ignored(7));
    assert_eq!(open.push(Sent::Sync, 8), Push::Forward);
    assert!(!open.is_skipping());
}

#[test]
fn copy_swallows_the_syncs_before_the_end_of_its_data() {
    let mut pipeline = pipeline(&[Sent::Execute, Sent::Sync, Sent::CopyDone, Sent::Sync]);
    feed(&mut pipeline, &[Tag::CopyInResponse]);
    assert!(!pipeline.is_copying_in());
    let Ok(Step::Finishes { dropped, .. }) = pipeline.receive(Reply::plain(Tag::CommandComplete)) else { panic!() };
    assert_eq!(dropped.collect::<Vec<_>>(), [(Sent::Sync, 1), (Sent::CopyDone, 2)]);
    feed(&mut pipeline, &[Tag::ReadyForQuery]);
    assert!(pipeline.is_empty());
}

#[test]
fn each_copy_of_a_query_reads_its_own_end() {
    let mut pipeline = pipeline(&[Sent::Query, Sent::CopyDone]);
    feed(&mut pipeline, &[Tag::CopyInResponse, Tag::CommandComplete, Tag::CopyInResponse]);
    assert!(pipeline.is_copying_in());
    assert_eq!(pipeline.push(Sent::Sync, 2), Push::Ignored(2));
    assert_eq!(pipeline.push(Sent::Execute, 3), Push::Refused(3));
    assert_eq!(pipeline.push(Sent::CopyDone, 4), Push::Forward);
    feed(&mut pipeline, &[Tag::CommandComplete, Tag::ReadyForQuery]);
    assert!(pipeline.is_empty());
    assert_eq!(pipeline.push(Sent::CopyFail, 5), Push::Ignored(5));
}

#[test]
fn the_status_is_the_last_ready_for_query() {
    let mut pipeline = pipeline(&[Sent::Sync]);
    let ready = Reply { status: Some(TransactionStatus::Failed), ..Reply::plain(Tag::ReadyForQuery) };
    pipeline.receive(ready).unwrap();
    assert_eq!(pipeline.status(), TransactionStatus::Failed);
}

#[test]
fn nothing_comes_after_a_fatal_error() {
    let mut pipeline = pipeline(&[Sent::Query, Sent::Sync]);
    let dropped = match pipeline.receive(error(true)) {
        Ok(Step::Closes { dropped }) => dropped.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(dropped, 2);
    assert_eq!(
        pipeline.receive(Reply::plain(Tag::ReadyForQuery)).map(drop),
        Err(Violation::AfterFatal(Tag::ReadyForQuery))
    );
    assert_eq!(pipeline.push(Sent::Sync, 9), Push::Ignored(9));
}
