use std::sync::Arc;

use model::class::Transform;
use model::effect::ColumnName;
use model::lineage::{Mentions, Origin, Output};

use super::*;
use crate::postgres::Outbox;
use crate::postgres::tests::*;

fn bench_of(hidden: &[(&'static str, Transform)]) -> Bench {
    crate::postgres::tests::bench(hidden, crate::OnUnmaskable::Null)
}

fn bench() -> Bench {
    hiding_cards(Transform::Redact)
}

fn plan_of(bench: &Bench, binary: bool) -> Plan {
    let notes = Origin::Column(ColumnName::new(people(), "notes"));
    let id = Origin::Column(ColumnName::new(people(), "id"));
    bench.plan(
        &rows(vec![id, card(), notes]),
        &[described(TEXT, binary), described(TEXT, binary), described(TEXT, binary)],
    )
}

/// Feeds the stream in the pieces that `cut` makes and returns what the client gets, and how many rows and masks.
fn copy(format: &CopyFormat, pieces: &[&[u8]]) -> Result<(Vec<u8>, u64, u64), MaskError> {
    let bench = bench();
    let mut masker = CopyMasker::new(plan_of(&bench, *format == CopyFormat::Binary), format.clone(), 1000);
    let mut outbox = Outbox::new(Arc::clone(&bench.lens));
    for piece in pieces {
        outbox.copy_data(&mut masker, piece)?;
    }
    outbox.copy_done(&masker)?;
    let masked = outbox.finish();
    let mut rest = masked.bytes();
    let mut stream = Vec::new();
    while let Some((tag, after)) = rest.split_first() {
        let length = usize::try_from(u32::from_be_bytes(after[..4].try_into().unwrap())).unwrap();
        let (message, next) = after.split_at(length);
        match tag {
            b'd' => stream.extend_from_slice(&message[4..]),
            b'c' => assert!(next.is_empty() && length == 4),
            _ => panic!("{tag}"),
        }
        rest = next;
    }
    let masks = masked.disclosure().classes.values().map(|counts| counts.masked).sum();
    Ok((stream, masked.disclosure().rows, masks))
}

fn assert_copy(format: &CopyFormat, stream: &[u8], expected: &[u8], rows: u64, masks: u64) {
    let whole = copy(format, &[stream]).unwrap();
    assert_eq!(String::from_utf8_lossy(&whole.0), String::from_utf8_lossy(expected));
    assert_eq!((whole.1, whole.2), (rows, masks));
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(copy(format, &bytes).unwrap(), whole, "byte by byte");
    for at in 0..=stream.len() {
        let (first, second) = stream.split_at(at);
        assert_eq!(copy(format, &[first, second]).unwrap(), whole, "cut at {at}");
    }
}

#[test]
fn text_is_masked_wherever_it_is_cut() {
    let stream = "1\t4111111111111111\tpaid 4111111111111111\\tnow\n2\t\\N\tplain \\\\ \\x\n3\t\\\\N\t\\N\n";
    let expected = "1\t[card_number]\tpaid [card_number]\\tnow\n2\t\\N\tplain \\\\ \\x\n3\t[card_number]\t\\N\n";
    assert_copy(&CopyFormat::Text(TextFormat::default()), stream.as_bytes(), expected.as_bytes(), 3, 3);
    let options = TextFormat { delimiter: b'_', null: b"nil".to_vec(), header: true };
    let stream = "id_card_notes\nnil_4111_a\\_b\n";
    let expected = "id_card_notes\nnil_[card\\_number]_a\\_b\n";
    assert_copy(&CopyFormat::Text(options), stream.as_bytes(), expected.as_bytes(), 1, 1);
}

#[test]
fn csv_is_masked_wherever_it_is_cut() {
    let stream = "1,4111111111111111,\"two\nlines, \"\"4111111111111111\"\"\"\n2,,\"\"\n3,\"\",x\n";
    let expected = "1,\"[card_number]\",\"two\nlines, \"\"[card_number]\"\"\"\n2,,\"\"\n3,\"[card_number]\",x\n";
    assert_copy(&CopyFormat::Csv(CsvFormat::default()), stream.as_bytes(), expected.as_bytes(), 3, 3);
    let options = CsvFormat { delimiter: b';', quote: b'\'', escape: b'\\', null: b"NULL".to_vec(), header: true };
    let stream = "id;'ca\nrd';notes\n1;'41\\'11\n';NULL\n2;NULL;'a\\\\'\n";
    let expected = "id;'ca\nrd';notes\n1;'[card_number]';NULL\n2;NULL;'a\\\\'\n";
    assert_copy(&CopyFormat::Csv(options), stream.as_bytes(), expected.as_bytes(), 2, 1);
}

#[test]
fn binary_is_masked_wherever_it_is_cut() {
    let make = |secret: &str| {
        let mut stream = SIGNATURE.to_vec();
        stream.extend([0, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]);
        stream.extend(body(&[Some("1".into()), Some(secret.into()), Some(format!("x {secret}").into())]));
        stream.extend(body(&[None, None, Some(vec![])]));
        stream.extend(TRAILER);
        stream
    };
    assert_copy(&CopyFormat::Binary, &make(CARD), &make("[card_number]"), 2, 2);
}

#[test]
fn streams_of_another_shape_are_refused() {
    let text = CopyFormat::Text(TextFormat::default());
    let csv = CopyFormat::Csv(CsvFormat::default());
    for (format, stream) in [
        (&text, &b"1\t2\n"[..]),
        (&text, b"1\t2\t3\t4\n"),
        (&text, b"1\t2\t3"),
        (&csv, b"1,2\n"),
        (&csv, b"1,2,3,4\n"),
        (&csv, b"1,2,\"3\n"),
        (&CopyFormat::Binary, b"PGCOPX"),
        (&CopyFormat::Binary, b"PGCOPY\n\xff\r\n\0\0\x01\0\0\0\0\0\0"),
        (&CopyFormat::Binary, b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\xff\xffx"),
        (&CopyFormat::Binary, b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"),
    ] {
        assert_eq!(copy(format, &[stream]), Err(MaskError::Malformed), "{}", String::from_utf8_lossy(stream));
    }
    assert_eq!(copy(&text, &[&[b'x'; 1001]]), Err(MaskError::TooLarge));
}

#[test]
fn without_a_layout_all_passes_or_nothing() {
    let one_column = |bench: &Bench| {
        let mentions = Mentions { anything: true, ..mentions() };
        bench.plan_for(&Output::Unknown, &[described(TEXT, false)], &mentions)
    };
    let sent = |bench: &Bench| {
        let mut masker = CopyMasker::new(one_column(bench), CopyFormat::Unknown, 1000);
        let mut outbox = Outbox::new(Arc::clone(&bench.lens));
        outbox.copy_data(&mut masker, b"1;4111111111111111\n")?;
        outbox.copy_done(&masker)?;
        Ok(outbox.finish().bytes().to_vec())
    };
    let all = sent(&bench_of(&[])).unwrap();
    assert!(all.windows(16).any(|bytes| bytes == b"4111111111111111"));
    for hidden in ["card_number", "us_ssn", "email"] {
        assert_eq!(sent(&bench_of(&[(hidden, Transform::Redact)])), Err(MaskError::Unmaskable), "{hidden}");
    }
}
