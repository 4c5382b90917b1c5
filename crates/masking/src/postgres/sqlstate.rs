//! SQLSTATEs and sentences of our own for them: PostgreSQL documentation, appendix A.

/// What stands for a code that is not the server's own: a procedure may raise any five characters.
const UNKNOWN: &[u8] = b"P0001";

/// The sentence where there is no better one.
const WITHHELD: &str = "the target reported a condition whose text is withheld, for it may hold classified values";

/// Codes with a sentence that an application can act on.
const SENTENCES: &[(&[u8; 5], &str)] = &[
    (b"21000", "a subquery or command met more rows than it may"),
    (b"22001", "value too long for its type"),
    (b"22003", "numeric value out of range"),
    (b"22004", "null value not allowed"),
    (b"22007", "invalid input syntax for a date or time"),
    (b"22008", "date or time field value out of range"),
    (b"22012", "division by zero"),
    (b"22021", "invalid byte sequence for the encoding"),
    (b"22023", "invalid parameter value"),
    (b"22P02", "invalid input syntax for the type"),
    (b"22P03", "incorrect binary data format"),
    (b"22P04", "bad copy file format"),
    (b"23000", "integrity constraint violated"),
    (b"23001", "restrict constraint violated"),
    (b"23502", "null value violates a not-null constraint"),
    (b"23503", "foreign key constraint violated"),
    (b"23505", "duplicate key value violates a unique constraint"),
    (b"23514", "check constraint violated"),
    (b"23P01", "exclusion constraint violated"),
    (b"25006", "cannot write in a read-only transaction"),
    (b"25P02", "current transaction is aborted, commands ignored until end of transaction block"),
    (b"40001", "could not serialize access; retry the transaction"),
    (b"40P01", "deadlock detected; retry the transaction"),
    (b"42501", "permission denied at the target"),
    (b"42601", "syntax error"),
    (b"42703", "column does not exist"),
    (b"42804", "data types do not match"),
    (b"42846", "cannot convert between the types"),
    (b"42883", "function or operator does not exist"),
    (b"42P01", "relation does not exist"),
    (b"53100", "the target's disk is full"),
    (b"53200", "the target is out of memory"),
    (b"53300", "the target has too many connections"),
    (b"54000", "a limit of the target is exceeded"),
    (b"55P03", "could not obtain a lock"),
    (b"57014", "canceling statement due to user request or timeout"),
    (b"57P01", "the target is shutting down"),
    (b"57P02", "the target crashed"),
    (b"57P03", "the target cannot accept connections now"),
];

/// The other codes of appendix A, by class: the class, then what may follow it.
const OTHERS: &[(&[u8; 2], &[&[u8; 3]])] = &[
    (b"00", &[b"000"]),
    (b"01", &[b"000", b"003", b"004", b"006", b"007", b"008", b"00C", b"P01"]),
    (b"02", &[b"000", b"001"]),
    (b"03", &[b"000"]),
    (b"08", &[b"000", b"001", b"003", b"004", b"006", b"007", b"P01"]),
    (b"09", &[b"000"]),
    (b"0A", &[b"000"]),
    (b"0B", &[b"000"]),
    (b"0F", &[b"000", b"001"]),
    (b"0L", &[b"000", b"P01"]),
    (b"0P", &[b"000"]),
    (b"0Z", &[b"000", b"002"]),
    (b"20", &[b"000"]),
    (
        b"22",
        &[
            b"000", b"002", b"005", b"009", b"00B", b"00C", b"00D", b"00E", b"00F", b"00G", b"00H", b"00L", b"00M",
            b"00N", b"00P", b"00S", b"00T", b"010", b"011", b"013", b"014", b"015", b"016", b"018", b"019", b"01B",
            b"022", b"024", b"025", b"026", b"027", b"02E", b"02G", b"02H", b"030", b"031", b"032", b"033", b"034",
            b"035", b"036", b"037", b"038", b"039", b"03A", b"03B", b"03C", b"03D", b"03E", b"03F", b"03G", b"P01",
            b"P05", b"P06",
        ],
    ),
    (b"24", &[b"000"]),
    (b"25", &[b"000", b"001", b"002", b"003", b"004", b"005", b"007", b"008", b"P01", b"P03", b"P04"]),
    (b"26", &[b"000"]),
    (b"27", &[b"000"]),
    (b"28", &[b"000", b"P01"]),
    (b"2B", &[b"000", b"P01"]),
    (b"2D", &[b"000"]),
    (b"2F", &[b"000", b"002", b"003", b"004", b"005"]),
    (b"34", &[b"000"]),
    (b"38", &[b"000", b"001", b"002", b"003", b"004"]),
    (b"39", &[b"000", b"001", b"004", b"P01", b"P02", b"P03"]),
    (b"3B", &[b"000", b"001"]),
    (b"3D", &[b"000"]),
    (b"3F", &[b"000"]),
    (b"40", &[b"000", b"002", b"003"]),
    (
        b"42",
        &[
            b"000", b"602", b"611", b"622", b"701", b"702", b"704", b"710", b"712", b"723", b"725", b"803", b"809",
            b"830", b"939", b"P02", b"P03", b"P04", b"P05", b"P06", b"P07", b"P08", b"P09", b"P10", b"P11", b"P12",
            b"P13", b"P14", b"P15", b"P16", b"P17", b"P18", b"P19", b"P20", b"P21", b"P22",
        ],
    ),
    (b"44", &[b"000"]),
    (b"53", &[b"000", b"400"]),
    (b"54", &[b"001", b"011", b"023"]),
    (b"55", &[b"000", b"006", b"P02", b"P04"]),
    (b"57", &[b"000", b"P04", b"P05"]),
    (b"58", &[b"000", b"030", b"P01", b"P02", b"P03"]),
    (b"F0", &[b"000", b"001"]),
    (b"P0", &[b"000", b"001", b"002", b"003", b"004"]),
    (b"XX", &[b"000", b"001", b"002"]),
];

/// The code, if it is one of the server's own, and the sentence for it.
pub(crate) fn known(code: &[u8]) -> (&[u8], &'static str) {
    if let Some((_, sentence)) = SENTENCES.iter().find(|(known, _)| *known == code) {
        return (code, sentence);
    }
    let listed = code.split_first_chunk::<2>().is_some_and(|(class, rest)| {
        OTHERS.iter().any(|(known, codes)| *known == class && codes.iter().any(|code| *code == rest))
    });
    (if listed { code } else { UNKNOWN }, WITHHELD)
}
