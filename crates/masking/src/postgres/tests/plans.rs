use super::*;

#[test]
fn lineage_decides_and_labels_do_not() {
    let bench = hiding_cards(Transform::Partial { keep_last: 4 });
    let output = rows(vec![Origin::Column(column("id")), card()]);
    let mut swapped = [described(TEXT, false), described(TEXT, false)];
    swapped[0].name = "card".into();
    swapped[1].name = "id".into();
    let plan = bench.plan(&output, &swapped);
    let (cells, disclosure) = bench.deliver(&plan, &[Some(CARD.into()), Some(CARD.into())]).unwrap();
    assert_eq!(cells, [Some(CARD.into()), Some("************1111".into())]);
    assert_eq!(disclosure.classes["card_number"].masked, 1);
    assert_eq!(disclosure.columns[&column("card")].masked, 1);
    assert!(!disclosure.columns.contains_key(&column("id")));
}

#[test]
fn derived_values_are_redacted_whole() {
    let bench = hiding_cards(Transform::Partial { keep_last: 4 });
    for value in ["4111", CARD, "x", ""] {
        assert_eq!(bench.text(derived(&["card"]), TEXT, value).unwrap(), "[card_number]");
    }
    assert_eq!(bench.one(derived(&["card"]), 20, true, &[0; 8]).unwrap(), None);
    let tokens = hiding_cards(Transform::Token);
    assert_eq!(tokens.text(derived(&["card"]), TEXT, CARD).unwrap(), "[card_number]");
    assert_eq!(hiding_cards(Transform::Null).text(derived(&["card"]), TEXT, CARD), None);
}

#[test]
fn what_is_not_proved_carries_every_class_of_what_is_mentioned() {
    let bench = hiding_cards(Transform::Token);
    assert_eq!(bench.text(Origin::Unknown, TEXT, "x").unwrap(), "[card_number]");
    let elsewhere = Mentions { tables: BTreeSet::from([TableName::new("public", "other")]), anything: false };
    let unknown = rows(vec![Origin::Unknown]);
    let plan = bench.plan_for(&unknown, &[described(TEXT, false)], &elsewhere);
    assert_eq!(bench.deliver(&plan, &[Some("x".into())]).unwrap().0, [Some("x".into())]);
    let anything = Mentions { anything: true, ..elsewhere };
    let plan = bench.plan_for(&unknown, &[described(TEXT, false)], &anything);
    assert_eq!(bench.deliver(&plan, &[Some("x".into())]).unwrap().0, [Some("[card_number]".into())]);
}

#[test]
fn another_number_of_columns_proves_nothing() {
    let bench = hiding_cards(Transform::Redact);
    let constants = rows(vec![Origin::Constant]);
    let two = [described(TEXT, false), described(23, true)];
    for output in [constants, Output::Unknown, Output::None] {
        let plan = bench.plan(&output, &two);
        let (cells, _) = bench.deliver(&plan, &[Some("x".into()), Some(vec![0; 4])]).unwrap();
        assert_eq!(cells, [Some("[card_number]".into()), None]);
    }
}

#[test]
fn provenance_adds_classes_and_only_an_exact_one_stands_for_a_proof() {
    let bench = hiding_cards(Transform::Partial { keep_last: 4 });
    let from = |source: &str| Described { source: Some(column(source)), ..described(TEXT, false) };
    let show = |origin: Origin, described: Described| {
        let plan = bench.plan(&rows(vec![origin]), &[described]);
        bench.deliver(&plan, &[Some(CARD.into())]).unwrap().0.remove(0)
    };
    assert_eq!(show(Origin::Constant, from("card")), Some("[card_number]".into()));
    assert_eq!(show(Origin::Column(column("id")), from("card")), Some("[card_number]".into()));
    assert_eq!(show(card(), from("id")), Some("[card_number]".into()));
    assert_eq!(show(Origin::Unknown, from("card")), Some("************1111".into()));
    assert_eq!(show(Origin::Unknown, from("id")), Some(CARD.into()));
    let whole = Described { whole_row_of: Some(people()), ..described(2249, false) };
    assert_eq!(show(Origin::Constant, whole), None);
}

#[test]
fn whole_rows_are_masked_by_member_only_if_every_classified_column_is_named() {
    let bench = hiding_cards(Transform::Redact);
    let whole = Described { whole_row_of: Some(people()), ..described(2249, false) };
    let named = |names: &[&str]| {
        let members = names.iter().map(|name| member("", Origin::Column(column(name)))).collect();
        container(Container::Row, members)
    };
    let show = |origin: Origin, value: &str| {
        let plan = bench.plan(&rows(vec![origin]), std::slice::from_ref(&whole));
        bench.deliver(&plan, &[Some(value.into())]).unwrap().0.remove(0)
    };
    let row = format!("(1,{CARD},a@b.example,078-05-1120)");
    assert_eq!(show(named(&["id", "card", "email", "ssn"]), &row), Some("(1,,a@b.example,078-05-1120)".into()));
    assert_eq!(show(named(&["id", "email", "ssn"]), &row), None);
}

#[test]
fn the_strictest_of_several_masks_holds_and_all_classes_are_counted() {
    let bench =
        bench(&[("card_number", Transform::Partial { keep_last: 4 }), ("us_ssn", Transform::Null)], OnUnmaskable::Null);
    let plan = bench.plan(&rows(vec![derived(&["card", "ssn", "email"])]), &[described(TEXT, false)]);
    let (cells, disclosure) = bench.deliver(&plan, &[Some("x".into())]).unwrap();
    assert_eq!(cells, [None]);
    for class in ["card_number", "us_ssn", "email"] {
        assert_eq!((disclosure.classes[class].clear, disclosure.classes[class].masked), (0, 1));
    }
}

#[test]
fn clear_values_are_counted_and_nulls_are_not() {
    let bench = bench(&[], OnUnmaskable::Null);
    let plan = bench
        .plan(&rows(vec![card(), Origin::Column(column("notes"))]), &[described(TEXT, false), described(TEXT, false)]);
    assert!(plan.delivers_clear());
    let mut outbox = Outbox::new(Arc::clone(&bench.lens));
    outbox.data_row(&plan, &body(&[Some(CARD.into()), Some("call a@b.example".into())])).unwrap();
    outbox.data_row(&plan, &body(&[None, None])).unwrap();
    let masked = outbox.finish();
    let disclosure = masked.disclosure();
    assert_eq!((disclosure.rows, disclosure.bytes), (2, u64::try_from(masked.bytes().len()).unwrap()));
    assert_eq!(disclosure.classes["card_number"].clear, 1);
    assert_eq!(disclosure.classes["email"].clear, 1);
    assert_eq!(disclosure.columns[&column("card")].clear, 1);
}

#[test]
fn unmarked_text_goes_through_the_content_net_and_public_text_does_not() {
    let bench =
        bench(&[("card_number", Transform::Partial { keep_last: 4 }), ("email", Transform::Null)], OnUnmaskable::Null);
    let notes = || Origin::Column(column("notes"));
    let text = format!("paid with {CARD} by a@b.example, thanks");
    assert_eq!(bench.text(notes(), TEXT, &text).unwrap(), "paid with ************1111 by [email], thanks");
    assert_eq!(bench.text(notes(), TEXT, "a@b.example"), None);
    assert_eq!(bench.text(notes(), 987_654, &format!("({CARD},1)")).unwrap(), "(************1111,1)");
    assert_eq!(bench.one(notes(), 987_654, true, CARD.as_bytes()).unwrap(), None);
    assert_eq!(bench.one(notes(), 987_654, true, b"blue").unwrap(), Some(b"blue".to_vec()));
    assert_eq!(bench.text(Origin::Column(column("id")), TEXT, &text).unwrap(), text);
    // A class that may be seen does not open the column to the others.
    assert_eq!(bench.text(Origin::Column(column("ssn")), TEXT, CARD).unwrap(), "************1111");
    // Numbers of unclassified columns are never masked by content.
    assert_eq!(bench.text(notes(), 20, CARD).unwrap(), CARD);
}

#[test]
fn rows_of_another_shape_are_refused_and_leave_nothing_behind() {
    let bench = hiding_cards(Transform::Redact);
    for origin in [Origin::Column(column("id")), card()] {
        let plan = bench.plan(&rows(vec![origin]), &[described(TEXT, false)]);
        let mut outbox = Outbox::new(Arc::clone(&bench.lens));
        let two = body(&[Some("x".into()), Some("x".into())]);
        assert_eq!(outbox.data_row(&plan, &two), Err(MaskError::Malformed));
        assert_eq!(outbox.data_row(&plan, &[]), Err(MaskError::Malformed));
        let masked = outbox.finish();
        assert!(masked.bytes().is_empty() && *masked.disclosure() == Disclosure::default());
    }
    let plan = bench.plan(&rows(vec![card()]), &[described(TEXT, false)]);
    let mut outbox = Outbox::new(Arc::clone(&bench.lens));
    for bad in [&[0, 1, 0, 0, 0, 9, 1][..], &[0, 1, 255, 255, 255, 254], &[0, 1, 0, 0, 0, 1, 1, 1]] {
        assert_eq!(outbox.data_row(&plan, bad), Err(MaskError::Malformed));
    }
    assert!(outbox.finish().disclosure().classes.is_empty());
}

#[test]
fn lineage_that_contradicts_itself_masks_the_whole() {
    let bench = hiding_cards(Transform::Redact);
    let id = || Origin::Column(column("id"));
    let twice = container(Container::JsonObject, vec![member("a", id()), member("a", card())]);
    assert_eq!(bench.text(twice, JSON, r#"{"a":1}"#).unwrap(), r#""[card_number]""#);
    let mixed = vec![member("", id()), member("", card())];
    assert_eq!(bench.text(container(Container::ArrayOf, mixed.clone()), 1009, "{1,2}").unwrap(), "{[card_number]}");
    assert_eq!(bench.text(container(Container::JsonArrayOf, mixed), JSON, "[1,2]").unwrap(), r#""[card_number]""#);
}
