use super::*;

fn outbox(hidden: &[(&'static str, Transform)]) -> Outbox {
    Outbox::new(bench(hidden, OnUnmaskable::Null).lens)
}

fn fields(fields: &[(u8, &'static str)]) -> Vec<(u8, &'static [u8])> {
    fields.iter().map(|(kind, text)| (*kind, text.as_bytes())).collect()
}

fn text(outbox: &mut Outbox) -> String {
    let masked = outbox.finish();
    let bytes = masked.bytes();
    let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap());
    assert_eq!(bytes.len(), usize::try_from(length).unwrap() + 1);
    format!("{}{}", char::from(bytes[0]), String::from_utf8_lossy(&bytes[5..]).replace('\0', "|"))
}

/// As PostgreSQL sends it for a duplicate key; `F` says which of the server's files it comes from.
fn duplicate(file: &'static str) -> Vec<(u8, &'static [u8])> {
    fields(&[
        (b'S', "FEHLER"),
        (b'V', "ERROR"),
        (b'C', "23505"),
        (b'M', "duplicate key 4111111111111111"),
        (b'D', "Key (card)=(4111111111111111) already exists."),
        (b'H', "4111111111111111"),
        (b'W', "4111111111111111"),
        (b'q', "select 4111111111111111"),
        (b'P', "12"),
        (b's', "public"),
        (b't', "people"),
        (b'c', "card"),
        (b'n', "people_card_key"),
        (b'F', file),
        (b'L', "666"),
        (b'R', "_bt_check_unique"),
    ])
}

#[test]
fn errors_about_hidden_values_are_rebuilt() {
    let mut outbox = outbox(&[("card_number", Transform::Redact)]);
    outbox.error(duplicate("nbtinsert.c").into_iter(), Touched::Hidden);
    assert_eq!(
        text(&mut outbox),
        "ESERROR|VERROR|C23505|Mduplicate key value violates a unique constraint|P12|spublic|tpeople|ccard|\
         npeople_card_key||"
    );
    // RAISE may put anything into names and codes.
    outbox.error(duplicate("pl_exec.c").into_iter(), Touched::Hidden);
    assert_eq!(text(&mut outbox), "ESERROR|VERROR|C23505|Mduplicate key value violates a unique constraint|P12||");
    let raised = fields(&[(b'S', "41111"), (b'V', "11111"), (b'C', "41111"), (b'M', "11111"), (b'n', "111111")]);
    outbox.notice(raised.into_iter(), Touched::Hidden);
    let shown = text(&mut outbox);
    assert!(shown.starts_with("NSERROR|VERROR|CP0001|Mthe target reported") && !shown.contains("111"), "{shown}");
}

#[test]
fn other_errors_pass_but_for_what_content_shows() {
    let mut outbox = outbox(&[("card_number", Transform::Redact)]);
    let said = fields(&[(b'S', "ERROR"), (b'C', "22P02"), (b'M', "bad \"4111111111111111\""), (b'F', "numutils.c")]);
    outbox.error(said.into_iter(), Touched::Nothing);
    assert_eq!(text(&mut outbox), "ESERROR|C22P02|Mbad \"[card_number]\"|Fnumutils.c||");
}

#[test]
fn notifications_and_parameters_are_searched() {
    let mut outbox = outbox(&[("card_number", Transform::Redact)]);
    outbox.notification(7, b"orders", CARD.as_bytes());
    assert_eq!(text(&mut outbox), "A|||\u{7}orders|[card_number]|");
    assert!(outbox.parameter_status(b"application_name", format!("x {CARD}").as_bytes()));
    assert_eq!(text(&mut outbox), "Sapplication_name|x [card_number]|");
    assert!(!outbox.parameter_status(b"myapp.card", CARD.as_bytes()));
    assert!(outbox.is_empty());
}

#[test]
fn only_messages_without_values_pass_as_they_are() {
    let mut outbox = outbox(&[]);
    let passing = b"RKvZ123ntTsICGH";
    for tag in 0..=u8::MAX {
        assert_eq!(outbox.control(tag, b"x").is_ok(), passing.contains(&tag), "{}", char::from(tag));
    }
    assert_eq!(outbox.finish().bytes().len(), passing.len() * 6);
    assert_eq!(outbox.own(b"Z\0\0\0\x05I"), Ok(()));
    assert_eq!(outbox.own(b"D\0\0\0\x06\0\0"), Err(MaskError::Unexpected(b'D')));
    for bad in [&b"Z"[..], b"Z\0\0\0\x05", b"Z\0\0\0\x03", b"Z\0\0\0\x05IZ"] {
        assert_eq!(outbox.own(bad), Err(MaskError::Malformed));
    }
    assert_eq!(outbox.finish().into_parts().0, b"Z\0\0\0\x05I");
}

#[test]
fn function_calls_answer_by_plan() {
    let bench = hiding_cards(Transform::Redact);
    let mut outbox = Outbox::new(Arc::clone(&bench.lens));
    let plan = bench.plan(&Output::Unknown, &[described(TEXT, false)]);
    outbox.function_call_response(&plan, b"\0\0\0\x044111").unwrap();
    assert_eq!(outbox.take_disclosure().rows, 1, "it is as the row of the SELECT that the call is");
    assert_eq!(text(&mut outbox), "V|||\r[card_number]");
    outbox.function_call_response(&plan, &[255; 4]).unwrap();
    assert_eq!(text(&mut outbox), "V|||\r[card_number]", "whether it is NULL does not show");
    let clear = bench.plan(&rows(vec![Origin::Constant]), &[described(TEXT, false)]);
    outbox.function_call_response(&clear, &[255; 4]).unwrap();
    assert_eq!(outbox.finish().bytes(), [b"V\0\0\0\x08".as_slice(), &[255; 4]].concat());
    assert_eq!(outbox.function_call_response(&plan, b"\0\0\0\x01xy"), Err(MaskError::Malformed));
}

#[test]
fn the_record_shows_no_classified_constant() {
    use model::event::Shown;
    use model::lineage::LiteralRole;
    let (labels, near, far) = (labels(), mentions(), Mentions::default());
    let show = |value: &[u8], binary: bool, role: LiteralRole, mentions: &Mentions| {
        let context = Context { mentions, labels: &labels };
        shown(Some(value), binary, &role, context, &mut |_| Reveal::Masked(None))
    };
    let of = |name: &str| LiteralRole::Of(column(name));
    assert_eq!(show(b"x", false, of("card"), &near), Shown::Masked("card_number".into()));
    assert_eq!(show(b"x", true, of("card"), &near), Shown::Masked("card_number".into()));
    assert_eq!(show(b"x", false, of("id"), &near), Shown::Clear("x".into()));
    assert_eq!(show(CARD.as_bytes(), false, of("id"), &near), Shown::Clear(CARD.into()));
    assert_eq!(show(CARD.as_bytes(), false, of("notes"), &near), Shown::Masked("card_number".into()));
    assert_eq!(show(b"x", true, of("id"), &near), Shown::Length(1));
    assert_eq!(show(b"x", false, LiteralRole::Secret, &far), Shown::Masked("secret".into()));
    assert_eq!(show(b"xy", false, LiteralRole::Unknown, &near), Shown::Length(2));
    assert_eq!(show(b"xy", false, LiteralRole::Unknown, &far), Shown::Clear("xy".into()));
    assert_eq!(show(b"\xff", false, LiteralRole::Plain, &far), Shown::Length(1));
    let long = "é".repeat(200);
    assert_eq!(show(long.as_bytes(), false, LiteralRole::Plain, &far), Shown::Clear("é".repeat(128)));
    let context = Context { mentions: &near, labels: &labels };
    let approver = shown(Some(b"x"), false, &of("card"), context, &mut |_| Reveal::Clear);
    assert_eq!(approver, Shown::Clear("x".into()));
    assert_eq!(shown(None, false, &of("card"), context, &mut |_| Reveal::Clear), Shown::Null);
}
