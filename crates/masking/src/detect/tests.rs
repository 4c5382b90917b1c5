use proptest::prelude::*;

use super::*;

mod equality;

fn found(text: &str) -> Vec<(Detector, &str)> {
    found_with(text, Hints::default())
}

fn found_with(text: &str, hints: Hints) -> Vec<(Detector, &str)> {
    equality::assert_as_simple(text.as_bytes(), hints);
    let mut all = Vec::new();
    scan(text.as_bytes(), hints, &mut |found| all.push((found.detector, &text[found.start..found.end])));
    all
}

fn assert_one(detector: Detector, value: &str) {
    for (before, after) in [("", ""), ("see ", " there"), ("\"", "\""), ("<", ">"), ("é", "é"), (",", ","), ("=", ";")]
    {
        let text = format!("{before}{value}{after}");
        assert_eq!(found(&text), [(detector, value)], "{text}");
    }
}

/// The test numbers that the schemes and processors publish.
const CARDS: [&str; 14] = [
    "4111111111111111",
    "4012888888881881",
    "4222222222222",
    "5555555555554444",
    "5105105105105100",
    "2223003122003222",
    "378282246310005",
    "371449635398431",
    "30569309025904",
    "38520000023237",
    "6011111111111117",
    "6011000990139424",
    "3530111333300000",
    "6200000000000005",
];

#[test]
fn published_card_numbers_are_found_in_every_spelling() {
    for card in CARDS {
        assert_one(Detector::CardNumber, card);
        assert_eq!(found(&format!("PAN{card}x")), [(Detector::CardNumber, card)]);
        for separator in [" ", "-", ".", "\u{a0}"] {
            let digits: Vec<char> = card.chars().collect();
            let grouped: Vec<String> = digits.chunks(4).map(|group| group.iter().collect()).collect();
            if grouped.last().is_some_and(|last| last.len() >= 3) {
                assert_one(Detector::CardNumber, &grouped.join(separator));
            }
        }
    }
    assert_one(Detector::CardNumber, "3782-822463-10005");
    assert_one(Detector::CardNumber, "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1");
    assert_eq!(found("id 12 4111 1111 1111 1111 12/27"), [(Detector::CardNumber, "4111 1111 1111 1111")]);
    assert_eq!(found("4111111111111111,5555555555554444").len(), 2);
}

#[test]
fn numbers_that_are_no_cards_stay() {
    for text in [
        "4111111111111112",
        "1234567812345670",
        "14111111111111111",
        "1700000000000",
        "0000000000000000",
        "411.1111111111111",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn ibans_of_the_registry_are_found() {
    for iban in [
        "DE89370400440532013000",
        "GB82WEST12345698765432",
        "FR1420041010050500013M02606",
        "NL91ABNA0417164300",
        "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S",
        "de89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "gb82-west-1234-5698-7654-32",
    ] {
        assert_one(Detector::Iban, iban);
    }
    for text in ["DE88370400440532013000", "DE8937040044053201300", "DE893704004405320130000", "ZZ89370400440532013000"]
    {
        assert!(found(text).iter().all(|(detector, _)| *detector != Detector::Iban), "{text}");
    }
}

#[test]
fn social_security_numbers_need_dashes_or_a_word() {
    assert_one(Detector::UsSsn, "078-05-1120");
    assert_eq!(found("SSN: 219099999"), [(Detector::UsSsn, "219099999")]);
    assert_eq!(found("219 09 9999 (social security)"), [(Detector::UsSsn, "219 09 9999")]);
    assert_eq!(found_with("219099999", Hints::of("customer_ssn")), [(Detector::UsSsn, "219099999")]);
    for text in ["219099999", "219 09 9999", "000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000"]
    {
        assert_eq!(found(text), [], "{text}");
    }
    assert_eq!(found("classname 219099999"), []);
    assert_eq!(found("1-078-05-1120"), []);
}

#[test]
fn addresses_are_found() {
    for address in ["a@b.co", "jane.doe+tag@mail.example.com", "josé@exämple.de", "x_y%z@sub-domain.example.museum"] {
        assert_eq!(found(&format!("<{address}>")), [(Detector::Email, address)]);
    }
    assert_eq!(found("write to jane@example.com."), [(Detector::Email, "jane@example.com")]);
    assert_eq!(found("a@b.example,c@d.example").len(), 2);
    for text in ["@", "a@", "@b.co", "a@b", "a@.", "user@localhost", "1@2.3"] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn telephones_need_a_plus_or_a_word() {
    assert_eq!(found("reach +1 (415) 555-2671 now"), [(Detector::Phone, "+1 (415) 555-2671")]);
    assert_eq!(found("+442071838750"), [(Detector::Phone, "+442071838750")]);
    assert_eq!(found("phone: (415) 555-2671"), [(Detector::Phone, "(415) 555-2671")]);
    assert_eq!(found_with("0171 2345678", Hints::of("home_phone")), [(Detector::Phone, "0171 2345678")]);
    for text in ["4155552671", "hotel 4155552671", "cancelled 5552671", "phone 2024-01-01", "2+12345678"] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn credentials_are_found() {
    // Assembled here, so that no scanner takes this file for a leak.
    let repeat = |symbol: &str, count: usize| symbol.repeat(count);
    for (detector, value) in [
        (Detector::ServiceKey, ["AKIA", "IOSFODNN7EXAMPLE"].concat()),
        (Detector::ServiceKey, ["ghp", "_", &repeat("aB3", 12)].concat()),
        (Detector::ServiceKey, ["github_pat", "_", &repeat("aB3_", 20), "aa"].concat()),
        (Detector::ServiceKey, ["glpat", "-", &repeat("aB3-x", 4)].concat()),
        (Detector::ServiceKey, ["xoxb", "-", &repeat("123", 4), "-abc"].concat()),
        (Detector::ServiceKey, ["sk_live", "_", &repeat("aB3", 8)].concat()),
        (Detector::ServiceKey, ["AIza", &repeat("aB3_-", 7)].concat()),
        (Detector::ServiceKey, ["hvs", ".", &repeat("aB3", 8)].concat()),
    ] {
        assert_one(detector, &value);
    }
    assert_eq!(found("AKIAIOSFODNN7EXAMPLEX"), []);
    // RFC 7515, appendix A.1.
    let token =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert_one(Detector::Jwt, token);
    assert_eq!(found("eyJub3QiOiJhIGhlYWRlciJ9.abc"), []);
}

#[test]
fn private_keys_are_found_also_when_cut_off() {
    let [begin, end] = ["BEGIN", "END"].map(|word| format!("-----{word} RSA PRIVATE KEY-----"));
    let whole = format!("{begin}\nMIIE\n{end}");
    assert_eq!(found(&format!("key: {whole} and more")), [(Detector::PrivateKey, whole.as_str())]);
    let cut = format!("{begin}\nMIIEow");
    assert_eq!(found(&format!("-------- {cut}")), [(Detector::PrivateKey, cut.as_str())]);
    assert_eq!(found("-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----"), []);
}

/// A small generator, so that rates are the same in every run.
fn random_digits(count: usize, state: &mut u64) -> String {
    (0..count)
        .map(|_| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from_digit(u32::try_from((*state >> 33) % 10).unwrap(), 10).unwrap()
        })
        .collect()
}

#[test]
fn random_numbers_are_rarely_taken_for_cards() {
    let mut state = 7;
    for (digits, most) in [(9, 0), (10, 0), (12, 0), (13, 250), (16, 700), (17, 150), (18, 300)] {
        let hits: usize = (0..20_000).map(|_| found(&random_digits(digits, &mut state)).len()).sum();
        assert!(hits <= most, "{hits} of 20000 numbers of {digits} digits");
    }
}

#[test]
fn hostile_texts_take_linear_time() {
    let started = std::time::Instant::now();
    for pattern in
        ["@", "a@", "eyJ.", "eyJ-", "1 ", "4111 ", "-", "-----BEGIN ", "DE89 ", "+1", "(1", "hvs.", "phone 1234567 "]
    {
        let text = pattern.repeat(200_000 / pattern.len());
        scan(text.as_bytes(), Hints::default(), &mut |_| {});
    }
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

proptest! {
    #[test]
    fn any_bytes_give_ordered_matches_between_characters(text in "[a-zA-Z0-9@.+ é-]{0,80}", bytes: Vec<u8>) {
        for input in [text.as_bytes(), &bytes] {
            let mut floor = 0;
            scan(input, Hints { ssn: true, phone: true }, &mut |found| {
                assert!(floor <= found.start && found.start < found.end && found.end <= input.len());
                if let Ok(text) = std::str::from_utf8(input) {
                    assert!(text.is_char_boundary(found.start) && text.is_char_boundary(found.end));
                }
                floor = found.end;
            });
        }
    }

    #[test]
    fn a_card_is_found_wherever_it_stands(before in "[a-z ,;:é]{0,40}", after in "[a-z ,;:é]{0,40}", card in 0..CARDS.len()) {
        let text = format!("{before}{}{after}", CARDS[card]);
        prop_assert!(found(&text).iter().any(|(detector, value)| *detector == Detector::CardNumber && *value == CARDS[card]));
    }
}
