//! The schema as tables of integers.
//!
//! Every type, field, managed object and method of a namespace is a row of a
//! few bytes; all names are in one string. The tables hold no pointers, so
//! they need no relocations and cost nothing at startup. Generic code over these
//! rows replaces code per type: decoding, encoding, comparison, printing and
//! paths are each written once.

/// The "no type" value of a type id.
pub(crate) const NONE: u16 = u16::MAX;

/// Field flag: the field may be absent.
pub(crate) const OPTIONAL: u8 = 1;
/// Field flag: the field is a list, written as repeated elements.
pub(crate) const ARRAY: u8 = 2;
/// Field flag: the value is a secret and is never printed.
pub(crate) const SECRET: u8 = 4;

/// The declared kind of a field, parameter or item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FieldKind {
    /// `xsd:string` and the string-like vmodl types (property path, type name, method name).
    String,
    /// `xsd:boolean`
    Bool,
    /// `xsd:byte`, 8 bits signed
    Byte,
    /// `xsd:short`, 16 bits signed
    Short,
    /// `xsd:int`, 32 bits signed
    Int,
    /// `xsd:long`, 64 bits signed
    Long,
    /// `xsd:float`
    Float,
    /// `xsd:double`
    Double,
    /// `xsd:dateTime`
    DateTime,
    /// `xsd:base64Binary`
    Binary,
    /// `xsd:anyURI`
    Uri,
    /// A managed object reference.
    Ref,
    /// An enum value.
    Enum,
    /// A data object.
    Object,
    /// `xsd:anyType`: the value names its own type.
    Any,
}

/// The kind of a row in the type table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TypeKind {
    /// A data object type.
    Data,
    /// An enum type.
    Enum,
    /// A managed object type; its fields are its properties.
    Managed,
    /// The arguments of a method; field 0 is the receiver.
    Request,
    /// The result of a method: one field `returnval`, or none.
    Response,
}

/// One field. `name` is the offset into the names shifted left by 8, plus the length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldRow {
    pub(crate) name: u32,
    pub(crate) ty: u16,
    pub(crate) kind: FieldKind,
    pub(crate) flags: u8,
}

impl FieldRow {
    #[inline]
    pub(crate) const fn is_array(self) -> bool {
        self.flags & ARRAY != 0
    }

    /// Returns whether an object without this field is incomplete. Lists may always be empty.
    #[inline]
    pub(crate) const fn is_required(self) -> bool {
        self.flags & (OPTIONAL | ARRAY) == 0
    }
}

/// One type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TypeRow {
    pub(crate) name: u32,
    /// Type id of the base, or [`NONE`].
    pub(crate) base: u16,
    /// First own row in the field table.
    pub(crate) fields: u16,
    own: u8,
    first: u8,
    pub(crate) kind: TypeKind,
}

impl TypeRow {
    /// Returns the number of own rows.
    #[inline]
    pub(crate) const fn own(self) -> u16 {
        self.own as u16
    }

    /// Returns the number of inherited fields: the flattened index of the first own field.
    #[inline]
    pub(crate) const fn first(self) -> u16 {
        self.first as u16
    }
}

/// Unpacks field rows from the generated words: name, type id, kind and flags, of 32, 16,
/// 8 and 8 bits.
pub(crate) const fn fields<const N: usize>(words: [u64; N]) -> [FieldRow; N] {
    use FieldKind as F;
    const KINDS: [FieldKind; 15] = [
        F::String,
        F::Bool,
        F::Byte,
        F::Short,
        F::Int,
        F::Long,
        F::Float,
        F::Double,
        F::DateTime,
        F::Binary,
        F::Uri,
        F::Ref,
        F::Enum,
        F::Object,
        F::Any,
    ];
    let mut rows = [FieldRow {
        name: 0,
        ty: NONE,
        kind: F::Any,
        flags: 0,
    }; N];
    let mut row = 0;
    while row < N {
        let word = words[row];
        rows[row] = FieldRow {
            name: (word >> 32) as u32,
            ty: (word >> 16) as u16,
            kind: KINDS[(word >> 8) as u8 as usize],
            flags: word as u8,
        };
        row += 1;
    }
    rows
}

/// Unpacks type rows from two generated words each: name, base and first field of 32, 16
/// and 16 bits; number of own fields, number of inherited ones and kind of 8 each.
pub(crate) const fn types<const N: usize, const W: usize>(words: [u64; W]) -> [TypeRow; N] {
    use TypeKind as T;
    const KINDS: [TypeKind; 5] = [T::Data, T::Enum, T::Managed, T::Request, T::Response];
    let mut rows = [TypeRow {
        name: 0,
        base: NONE,
        fields: 0,
        own: 0,
        first: 0,
        kind: T::Data,
    }; N];
    let mut row = 0;
    while row < N {
        let (names, counts) = (words[2 * row], words[2 * row + 1]);
        rows[row] = TypeRow {
            name: (names >> 32) as u32,
            base: (names >> 16) as u16,
            fields: names as u16,
            own: (counts >> 16) as u8,
            first: (counts >> 8) as u8,
            kind: KINDS[counts as u8 as usize],
        };
        row += 1;
    }
    rows
}

/// The rows `start..end` of a table, as row numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub(crate) start: u16,
    pub(crate) end: u16,
}

/// The tables of one WSDL namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// For example `urn:vim25`.
    pub(crate) uri: &'static str,
    /// All names, concatenated.
    pub(crate) names: &'static str,
    pub(crate) types: &'static [TypeRow],
    pub(crate) fields: &'static [FieldRow],
    /// The type id of the first row.
    pub(crate) first_id: u16,
    pub(crate) data: Rows,
    pub(crate) enums: Rows,
    pub(crate) managed: Rows,
    pub(crate) requests: Rows,
    pub(crate) responses: Rows,
}

/// The compiled namespaces, vim25 first.
pub(crate) static NAMESPACES: &[&Namespace] = &[
    &crate::generated::tables::VIM25,
    #[cfg(feature = "vsan")]
    &crate::generated::vsan::tables::VSAN,
    #[cfg(feature = "eam")]
    &crate::generated::eam::tables::EAM,
    #[cfg(feature = "sms")]
    &crate::generated::sms::tables::SMS,
    #[cfg(feature = "pbm")]
    &crate::generated::pbm::tables::PBM,
    #[cfg(feature = "vslm")]
    &crate::generated::vslm::tables::VSLM,
    #[cfg(feature = "internal")]
    &crate::generated::internal::tables::INTERNAL,
];

impl Namespace {
    #[inline]
    fn name(&self, packed: u32) -> &'static str {
        let start = (packed >> 8) as usize;
        let end = start + (packed & 0xff) as usize;
        self.names.get(start..end).unwrap_or("")
    }

    /// Returns the namespace of its types in messages.
    fn on_the_wire(&self) -> &'static str {
        if self.uri == INTERNAL {
            VIM25
        } else {
            self.uri
        }
    }

    fn search(&self, rows: Rows, name: &str) -> Option<u16> {
        let slice = self.types.get(rows.start as usize..rows.end as usize)?;
        let at = slice
            .binary_search_by(|row| self.name(row.name).cmp(name))
            .ok()?;
        Some(self.first_id + rows.start + at as u16)
    }
}

/// Whether any namespace besides vim25 was compiled in.
pub(crate) const MANY: bool = cfg!(any(
    feature = "vsan",
    feature = "eam",
    feature = "sms",
    feature = "pbm",
    feature = "vslm"
));

/// The main namespace.
pub(crate) const VIM25: &str = "urn:vim25";

/// The namespace of undocumented methods. Their types are those of the main namespace on
/// the wire, so they do not count for [`MANY`].
pub(crate) const INTERNAL: &str = "urn:internalvim25";

/// Returns a compiled WSDL namespace. The old name of the main namespace, and its name for
/// undocumented types, count as the main one.
pub(crate) fn known_namespace(uri: &str) -> Option<&'static str> {
    if matches!(uri, "urn:vim2" | INTERNAL) {
        return Some(VIM25);
    }
    let found = NAMESPACES.iter().find(|ns| ns.uri == uri);
    found.map(|ns| ns.uri)
}

#[inline]
fn namespace_of(id: u16) -> Option<&'static Namespace> {
    let vim25 = &crate::generated::tables::VIM25;
    if usize::from(id) < vim25.types.len() {
        return Some(vim25);
    }
    NAMESPACES
        .iter()
        .find(|ns| id >= ns.first_id && usize::from(id - ns.first_id) < ns.types.len())
        .copied()
}

/// Returns the row of a type id.
#[inline]
pub(crate) fn type_row(id: u16) -> Option<&'static TypeRow> {
    let ns = namespace_of(id)?;
    ns.types.get(usize::from(id - ns.first_id))
}

/// Returns the wire name of a type id; empty for an invalid id.
#[inline]
pub(crate) fn type_name(id: u16) -> &'static str {
    match namespace_of(id) {
        Some(ns) => match ns.types.get(usize::from(id - ns.first_id)) {
            Some(row) => ns.name(row.name),
            None => "",
        },
        None => "",
    }
}

/// Returns the WSDL namespace of a type id in messages.
pub(crate) fn namespace_uri(id: u16) -> &'static str {
    namespace_of(id).map_or("", Namespace::on_the_wire)
}

/// Returns the WSDL namespace that contains a type id.
pub(crate) fn home_uri(id: u16) -> &'static str {
    namespace_of(id).map_or("", |ns| ns.uri)
}

/// Returns the number of fields of a type, inherited ones included.
#[inline]
pub(crate) fn field_count(id: u16) -> u16 {
    type_row(id).map_or(0, |row| row.first() + row.own())
}

/// Returns the field with a flattened index, and its wire name.
#[inline]
pub(crate) fn field(mut id: u16, index: u16) -> Option<(&'static FieldRow, &'static str)> {
    loop {
        let ns = namespace_of(id)?;
        let row = ns.types.get(usize::from(id - ns.first_id))?;
        if index >= row.first() {
            let own = index - row.first();
            if own >= row.own() {
                return None;
            }
            let field = ns.fields.get(usize::from(row.fields) + usize::from(own))?;
            return Some((field, ns.name(field.name)));
        }
        id = row.base;
    }
}

/// Returns the WSDL namespace of the field with a flattened index: that of the type that
/// declares it.
pub(crate) fn field_namespace(mut id: u16, index: u16) -> Option<&'static str> {
    loop {
        let ns = namespace_of(id)?;
        let row = ns.types.get(usize::from(id - ns.first_id))?;
        if index >= row.first() {
            return Some(ns.on_the_wire());
        }
        id = row.base;
    }
}

/// Finds a field by its wire name.
///
/// `hint` is the flattened index where the search starts: servers write fields
/// in schema order, so the next field is nearly always at or just after it. It
/// is set to the index after the field that was found.
#[inline]
pub(crate) fn find_field(id: u16, name: &str, hint: &mut u16) -> Option<(u16, &'static FieldRow)> {
    let mut at = id;
    // Searches from the hint to the end of the type that owns it; the full scan
    // below covers the rest.
    while let Some(ns) = namespace_of(at) {
        let row = ns.types.get(usize::from(at - ns.first_id))?;
        if *hint >= row.first() {
            let own = ns
                .fields
                .get(usize::from(row.fields)..)?
                .get(..usize::from(row.own()))?;
            for (i, field) in own
                .iter()
                .enumerate()
                .skip(usize::from(*hint - row.first()))
            {
                if ns.name(field.name) == name {
                    let index = row.first() + i as u16;
                    *hint = if field.is_array() { index } else { index + 1 };
                    return Some((index, field));
                }
            }
            break;
        }
        at = row.base;
    }
    find_field_anywhere(id, name, hint)
}

#[cold]
fn find_field_anywhere(id: u16, name: &str, hint: &mut u16) -> Option<(u16, &'static FieldRow)> {
    let mut at = id;
    while let Some(ns) = namespace_of(at) {
        let row = ns.types.get(usize::from(at - ns.first_id))?;
        let own = ns
            .fields
            .get(usize::from(row.fields)..)?
            .get(..usize::from(row.own()))?;
        for (i, field) in own.iter().enumerate() {
            if ns.name(field.name) == name {
                let index = row.first() + i as u16;
                *hint = if field.is_array() { index } else { index + 1 };
                return Some((index, field));
            }
        }
        at = row.base;
    }
    None
}

/// Returns whether `id` is `base` or derived from it.
#[inline]
pub(crate) fn is_a(mut id: u16, base: u16) -> bool {
    loop {
        if id == base {
            return true;
        }
        match type_row(id) {
            Some(row) => id = row.base,
            None => return false,
        }
    }
}

/// Finds the data object or enum type with a wire name; if several namespaces have it,
/// the first one wins.
pub(crate) fn value_type(name: &str) -> Option<u16> {
    NAMESPACES.iter().find_map(|ns| {
        ns.search(ns.data, name)
            .or_else(|| ns.search(ns.enums, name))
    })
}

/// Finds the data object or enum type with a wire name in one namespace.
pub(crate) fn value_type_in(uri: &str, name: &str) -> Option<u16> {
    let ns = NAMESPACES.iter().find(|ns| ns.uri == uri)?;
    ns.search(ns.data, name)
        .or_else(|| ns.search(ns.enums, name))
}

/// Finds the managed object type with a wire name.
pub(crate) fn managed_type(name: &str) -> Option<u16> {
    NAMESPACES.iter().find_map(|ns| ns.search(ns.managed, name))
}

/// Returns the request and response types of a method, by its wire name.
pub(crate) fn method(name: &str) -> Option<(u16, u16)> {
    NAMESPACES.iter().find_map(|ns| {
        let request = ns.search(ns.requests, name)?;
        let index = request - ns.first_id - ns.requests.start;
        Some((request, ns.first_id + ns.responses.start + index))
    })
}

/// Returns the response type that belongs to a request type.
pub(crate) fn response_of(request: u16) -> u16 {
    match namespace_of(request) {
        Some(ns) => request - ns.requests.start + ns.responses.start,
        None => NONE,
    }
}

/// Returns whether the field with this name is a list.
pub(crate) fn is_list(id: u16, name: &str) -> bool {
    find_field(id, name, &mut 0).is_some_and(|(_, row)| row.is_array())
}
