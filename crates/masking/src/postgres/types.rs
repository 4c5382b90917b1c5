//! The built-in types: what can be done with a value, by the oid that the target describes it with.
//!
//! Oids are from PostgreSQL's `pg_type.dat`; they never change. A domain is described by its base type. An oid that is
//! not here is a user's type (enum, composite, extension) or one nobody needs to see: it is [`Kind::Other`].

/// What a value of a type is to masking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Any text; a mask of any length fits.
    Text,
    /// `"char"`: one byte.
    Char,
    Json,
    /// Binary: a version byte 1, then text.
    Jsonb,
    /// `xml`: text that is a well-formed fragment.
    Xml,
    Bool,
    /// An integer of so many bytes.
    Integer(Width),
    Float(Width),
    Numeric,
    Money,
    Bytea,
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
    Uuid,
    Inet,
    Cidr,
    MacAddr,
    MacAddr8,
    Bits,
    /// An array of elements of this oid; binary ones say theirs themselves.
    Array(u32),
    /// A row of a type that has no name.
    Record,
    Range,
    Multirange,
    /// Points, boxes and what else holds no text and has no mask.
    Opaque,
    /// Everything else: it may hold text.
    Other,
}

/// The bytes of a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Width {
    Two,
    Four,
    Eight,
}

impl Kind {
    /// The kind of the type with this oid.
    pub(crate) fn of(oid: u32) -> Self {
        match oid {
            19 | 25 | 1042 | 1043 => Self::Text,
            18 => Self::Char,
            114 => Self::Json,
            3802 => Self::Jsonb,
            142 => Self::Xml,
            16 => Self::Bool,
            21 => Self::Integer(Width::Two),
            23 | 26 | 24 | 28 | 29 | 2202..=2206 | 3734 | 3769 | 4089 | 4096 | 4191 => Self::Integer(Width::Four),
            20 | 5069 => Self::Integer(Width::Eight),
            700 => Self::Float(Width::Four),
            701 => Self::Float(Width::Eight),
            1700 => Self::Numeric,
            790 => Self::Money,
            17 => Self::Bytea,
            1082 => Self::Date,
            1083 => Self::Time,
            1266 => Self::TimeTz,
            1114 => Self::Timestamp,
            1184 => Self::TimestampTz,
            1186 => Self::Interval,
            2950 => Self::Uuid,
            869 => Self::Inet,
            650 => Self::Cidr,
            829 => Self::MacAddr,
            774 => Self::MacAddr8,
            1560 | 1562 => Self::Bits,
            2249 => Self::Record,
            3904 | 3906 | 3908 | 3910 | 3912 | 3926 => Self::Range,
            4451 | 4532..=4536 => Self::Multirange,
            600..=604 | 628 | 718 | 3220 | 2278 | 27 => Self::Opaque,
            oid => element_of(oid).map_or(Self::Other, Self::Array),
        }
    }

    /// Whether content is searched where no class is known: whatever may hold text.
    pub(crate) fn is_searched(self) -> bool {
        match self {
            Self::Text | Self::Json | Self::Jsonb | Self::Xml | Self::Record | Self::Other => true,
            Self::Array(element) => Self::of(element).is_searched(),
            Self::Char
            | Self::Bool
            | Self::Integer(_)
            | Self::Float(_)
            | Self::Numeric
            | Self::Money
            | Self::Bytea
            | Self::Date
            | Self::Time
            | Self::TimeTz
            | Self::Timestamp
            | Self::TimestampTz
            | Self::Interval
            | Self::Uuid
            | Self::Inet
            | Self::Cidr
            | Self::MacAddr
            | Self::MacAddr8
            | Self::Bits
            | Self::Range
            | Self::Multirange
            | Self::Opaque => false,
        }
    }
}

/// The element type of a built-in array type.
const fn element_of(oid: u32) -> Option<u32> {
    Some(match oid {
        1000 => 16,
        1001 => 17,
        1002 => 18,
        1003 => 19,
        1016 => 20,
        1005 => 21,
        1007 => 23,
        1009 => 25,
        1028 => 26,
        199 => 114,
        143 => 142,
        1014 => 1042,
        1015 => 1043,
        1021 => 700,
        1022 => 701,
        1231 => 1700,
        791 => 790,
        1182 => 1082,
        1183 => 1083,
        1270 => 1266,
        1115 => 1114,
        1185 => 1184,
        1187 => 1186,
        2951 => 2950,
        1041 => 869,
        651 => 650,
        1040 => 829,
        775 => 774,
        1561 => 1560,
        1563 => 1562,
        3807 => 3802,
        2287 => 2249,
        3905 => 3904,
        3907 => 3906,
        3909 => 3908,
        3911 => 3910,
        3913 => 3912,
        3927 => 3926,
        6150..=6153 | 6155 | 6157 => 4451,
        1017..=1019 | 1027 | 629 | 719 => 600,
        _ => return None,
    })
}
