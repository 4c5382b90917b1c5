//! What is done to the checkpoint, by whoever has the key and by whoever has not.

use super::*;
use crate::note::signature_line;
use notes::{WRONG_AGAIN, id_of, in_base64, line, line_with, plus_order, with_stray_bit};

/// Signed by the key itself, but not as Sluice signs.
pub(super) const TO_SIGNED: &[(&str, Change)] = &[
    ("an older checkpoint", |base, site, _| {
        site.files.insert(CHECKPOINT.to_owned(), base.earlier[CHECKPOINT].clone());
    }),
    ("an older checkpoint with its tiles", |base, site, _| site.files.extend(base.earlier.clone())),
    ("another size signed", |base, site, dice| {
        let size = wide(base.entries.len());
        let sizes = [size + 1, size - 1, size + 256, 1 << 40, u64::MAX >> 1, u64::MAX];
        let size = sizes[dice.below(sizes.len())];
        resign(base, site, |lines| format!("{}\n{size}\n{}\n", lines[0], lines[2]));
    }),
    ("another root signed", |base, site, dice| {
        let root = in_base64(&[byte(dice); 32]);
        resign(base, site, |lines| format!("{}\n{}\n{root}\n", lines[0], lines[1]));
    }),
    ("no entries signed", |base, site, dice| {
        let root = in_base64(if dice.one_in(2) { &merkle::EMPTY_ROOT } else { &[0; 32] });
        resign(base, site, |lines| format!("{}\n0\n{root}\n", lines[0]));
    }),
    ("a root with stray bits signed", |base, site, _| {
        resign(base, site, |lines| format!("{}\n{}\n{}\n", lines[0], lines[1], with_stray_bit(lines[2])));
    }),
    ("another spelling of the size signed", |base, site, dice| {
        let forms = [("0", ""), ("+", ""), (" ", ""), ("", " "), ("", ".0"), ("-", ""), ("", "\u{a0}"), ("0x", "")];
        let (before, behind) = forms[dice.below(forms.len())];
        resign(base, site, |lines| format!("{}\n{before}{}{behind}\n{}\n", lines[0], lines[1], lines[2]));
    }),
    ("more lines signed", |base, site, dice| {
        let forms = [
            "a\n",
            "a\nb\n",
            "\u{2014} a\n",
            "\u{7f}\n",
            "\u{85}\n",
            " \n",
            "\u{e9}\n",
            "\n",
            "a\n\n",
            "\na\n",
            "\t\n",
            "\r\n",
        ];
        let more = forms[dice.below(forms.len())];
        resign(base, site, |lines| format!("{}\n{}\n{}\n{more}", lines[0], lines[1], lines[2]));
    }),
    ("fewer lines signed", |base, site, dice| {
        let kept = dice.below(3);
        resign(base, site, |lines| lines[..kept].iter().map(|line| format!("{line}\n")).collect());
    }),
    ("another origin signed", |base, site, dice| {
        let forms = ["other.example", "sluice.example/journal2", "sluice.example", "", " sluice.example/journal"];
        let origin = forms[dice.below(forms.len())];
        resign(base, site, |lines| format!("{origin}\n{}\n{}\n", lines[1], lines[2]));
    }),
];

/// Puts this signature in the place of the right one.
fn exchange(site: &mut Site, line: impl FnOnce(&str) -> String) {
    edit_note(site, |note| format!("{}\n{}", text_of(note), line(text_of(note))));
}

/// To the lines under what is signed, and to the key that is known.
pub(super) const TO_SIGNATURES: &[(&str, Change)] = &[
    ("another key is known", |_, site, dice| {
        let (name, seed) =
            [("sluice.example/journal", 50), ("other.example", 7), ("sluice.example/j", 7)][dice.below(3)];
        site.key = SigningKey::from_seed(name, &[seed; 32]).unwrap().public().clone();
    }),
    ("signed by another key", |_, site, dice| {
        let name = if dice.one_in(2) { "sluice.example/journal" } else { "other.example" };
        exchange(site, |text| line(&SigningKey::from_seed(name, &[50; 32]).unwrap(), text));
    }),
    ("another name on the signature", |base, site, _| {
        exchange(site, |text| signature_line("other.example", id_of(&base.key), &base.key.sign_text(text)));
    }),
    ("another id on the signature", |base, site, dice| {
        let id = if dice.one_in(2) { [0; 4] } else { id_of(&signer(50)) };
        exchange(site, |text| signature_line(base.key.public().name(), id, &base.key.sign_text(text)));
    }),
    ("signatures of others", |_, site, dice| {
        let other = |number| signature_line(&format!("witness{number}.example"), [1, 2, 3, 4], &[7; 72]);
        let others: String = (0..=dice.below(15)).map(other).collect();
        let is_before = dice.one_in(2);
        edit_note(site, |note| match note.split_once("\n\n") {
            Some((text, own)) if is_before => format!("{text}\n\n{others}{own}"),
            _ => format!("{note}{others}"),
        });
    }),
    ("an odd name on another signature", |_, site, dice| {
        let inside =
            ["+", "\u{a0}", "\u{2003}", "\u{2028}", "\u{85}", "\u{7f}", "\u{200b}", "\u{fffd}", "\u{e9}", "\u{1}"];
        let name = match dice.below(inside.len() + 1) {
            0 => String::new(),
            at => format!("a{}b", inside[at - 1]),
        };
        edit_note(site, |note| format!("{note}{}", signature_line(&name, [1; 4], &[7; 68])));
    }),
    ("another signature of an odd length", |_, site, dice| {
        let bytes = vec![7; dice.below(6)];
        edit_note(site, |note| format!("{note}\u{2014} witness.example {}\n", in_base64(&bytes)));
    }),
    ("the right signature twice", |base, site, _| {
        edit_note(site, |note| format!("{note}{}", line(&base.key, text_of(note))));
    }),
    (WRONG_AGAIN, |base, site, dice| {
        edit_note(site, |note| format!("{note}{}", line_with(&base.key, &[byte(dice); 64])));
    }),
    ("a wrong signature before the right one", |base, site, dice| {
        exchange(site, |text| format!("{}{}", line_with(&base.key, &[byte(dice); 64]), line(&base.key, text)));
    }),
    ("a signature with stray bits", |_, site, _| {
        edit_note(site, |note| {
            let (before, encoded) = note.trim_end().rsplit_once(' ').unwrap();
            format!("{before} {}\n", with_stray_bit(encoded))
        });
    }),
    ("a signature of another length", |base, site, dice| {
        let length = dice.below(66);
        exchange(site, |text| {
            let mut bytes = base.key.sign_text(text);
            bytes.resize(length + usize::from(length == 64), 0);
            line_with(&base.key, &bytes)
        });
    }),
    ("a signature with the order of the group added", |base, site, _| {
        exchange(site, |text| line_with(&base.key, &plus_order(&base.key.sign_text(text))));
    }),
    ("other white space in the checkpoint", |_, site, dice| {
        let dash = "\u{2014} ";
        let forms =
            [("\n", "\r\n"), ("\n\n", "\n\n\n"), ("\n\n", "\n"), (dash, "\u{2014}  "), (dash, "- "), ("=\n", "=")];
        let (from, to) = forms[dice.below(forms.len())];
        let is_last = dice.one_in(2);
        edit_note(site, |note| match note.rsplit_once(from) {
            Some((before, behind)) if is_last => format!("{before}{to}{behind}"),
            _ => note.replacen(from, to, 1),
        });
    }),
    ("a line behind the signatures", |_, site, dice| {
        let more = ["a\n", "\n", "\na\n", "\u{2014} \n", "\u{2014} a\n", "\u{2014} a b c\n", "\u{2014} a AQEBAQE=\n"];
        let more = more[dice.below(more.len())];
        edit_note(site, |note| format!("{note}{more}"));
    }),
];
