//! Whatever is done to a signed assertion, it is refused or read as it was signed.

use proptest::prelude::*;

use crate::support::{ASSERTION, RESPONSE, provider, soon_after, trusting};

/// Pieces that wrapping is made of.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(ASSERTION.clone()),
        Just(crate::support::unsigned(&ASSERTION).replace("svc:etl", "svc:admin")),
        Just(crate::support::piece(&ASSERTION, "<Signature", "</Signature>").to_owned()),
        Just(crate::support::piece(&ASSERTION, "<saml:Subject>", "</saml:Subject>").replace("svc:etl", "svc:admin")),
        Just(String::from("<!-- -->")),
        Just(String::from("<![CDATA[]]>")),
        Just(String::from("<saml:Advice/>")),
        Just(String::from(" xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\"")),
        "[ -~]{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn id_21_pieces_of_it_in_any_place_change_nothing(
        pieces in prop::collection::vec((any::<prop::sample::Index>(), piece()), 1..4),
        in_response: bool,
    ) {
        let document = if in_response { &*RESPONSE } else { &*ASSERTION };
        let mut changed = document.clone();
        for (place, piece) in pieces {
            // Where tags begin, for there it has a chance.
            let places: Vec<usize> = changed.match_indices('<').map(|(at, _)| at).collect();
            changed.insert_str(places[place.index(places.len())], &piece);
        }
        let providers = trusting(provider());
        let judge = |document: &str| identity::saml::verify(document.as_bytes(), &providers, soon_after(&RESPONSE));
        if let Ok(read) = judge(&changed) {
            prop_assert_eq!(read, judge(document).unwrap());
        }
    }
}
