//! A message as a list of lines that contain only the significant parts:
//! prefixes are resolved, and an `xsi:type` that repeats the schema's type is
//! removed.

use vim25::schema::{self, Field, FieldKind, Type, TypeKind};

use crate::xml::{Element, INSTANCE, Name, SCHEMA};

/// The namespace of the API.
const API: &str = "urn:vim25";

/// The declaration at a place.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    kind: FieldKind,
    declared: Option<Type>,
}

/// The content of a place.
enum Actual {
    /// An object of this type; its fields are looked up there.
    Object(Type),
    /// A list in a place that accepts any type; contains the declaration of its items.
    List(Place),
    /// Text, or a type that the schema does not know.
    Other,
}

impl Place {
    const ANY: Self = Self {
        kind: FieldKind::Any,
        declared: None,
    };

    fn of(field: Field) -> Self {
        Self {
            kind: field.kind(),
            declared: field.declared(),
        }
    }

    /// Returns the place of a method's result.
    pub(crate) fn result(method: &str) -> Self {
        let response = schema::find(TypeKind::Response, method).unwrap();
        Self::of(response.fields().next().unwrap())
    }

    /// Returns the place of an item of the list type `ArrayOf<suffix>`.
    fn item(suffix: &str) -> Self {
        let kind = match suffix {
            "String" => FieldKind::String,
            "Boolean" => FieldKind::Bool,
            "Byte" => FieldKind::Byte,
            "Short" => FieldKind::Short,
            "Int" => FieldKind::Int,
            "Long" => FieldKind::Long,
            "Float" => FieldKind::Float,
            "Double" => FieldKind::Double,
            "DateTime" => FieldKind::DateTime,
            "Base64Binary" => FieldKind::Binary,
            "AnyURI" => FieldKind::Uri,
            "ManagedObjectReference" => FieldKind::Ref,
            "AnyType" => FieldKind::Any,
            name => {
                let declared = schema::find(TypeKind::Data, name);
                return match declared.or_else(|| schema::find(TypeKind::Enum, name)) {
                    Some(ty) => Self {
                        kind: match ty.kind() {
                            TypeKind::Enum => FieldKind::Enum,
                            _ => FieldKind::Object,
                        },
                        declared: Some(ty),
                    },
                    None => Self::ANY,
                };
            }
        };
        Self {
            kind,
            declared: None,
        }
    }

    /// Returns the type that an element here has by default.
    fn type_name(self) -> Option<Name> {
        let (namespace, local) = match self.kind {
            FieldKind::String => (SCHEMA, "string"),
            FieldKind::Bool => (SCHEMA, "boolean"),
            FieldKind::Byte => (SCHEMA, "byte"),
            FieldKind::Short => (SCHEMA, "short"),
            FieldKind::Int => (SCHEMA, "int"),
            FieldKind::Long => (SCHEMA, "long"),
            FieldKind::Float => (SCHEMA, "float"),
            FieldKind::Double => (SCHEMA, "double"),
            FieldKind::DateTime => (SCHEMA, "dateTime"),
            FieldKind::Binary => (SCHEMA, "base64Binary"),
            FieldKind::Uri => (SCHEMA, "anyURI"),
            FieldKind::Ref => (API, "ManagedObjectReference"),
            FieldKind::Enum | FieldKind::Object => {
                let ty = self.declared?;
                (ty.namespace(), ty.name())
            }
            FieldKind::Any => return None,
        };
        Some(Name {
            namespace: namespace.to_owned(),
            local: local.to_owned(),
        })
    }

    /// Returns what an element at this place is.
    fn actual(self, xsi_type: Option<&Name>) -> Actual {
        let Some(name) = xsi_type else {
            return match (self.kind, self.declared) {
                (FieldKind::Object, Some(ty)) => Actual::Object(ty),
                _ => Actual::Other,
            };
        };
        if name.namespace == SCHEMA {
            return Actual::Other;
        }
        if let Some(ty) = schema::find(TypeKind::Data, &name.local) {
            return Actual::Object(ty);
        }
        match name.local.strip_prefix("ArrayOf") {
            Some(suffix) => Actual::List(Self::item(suffix)),
            None => Actual::Other,
        }
    }
}

/// Returns the lines of an element at a place.
pub(crate) fn lines(element: &Element, place: Place) -> Vec<String> {
    let mut lines = Vec::new();
    write(element, place, &element.name.local, &mut lines);
    lines
}

fn write(element: &Element, place: Place, path: &str, lines: &mut Vec<String>) {
    assert_eq!(element.name.namespace, API, "{path}");
    let redundant = element.xsi_type == place.type_name();
    let named = element.xsi_type.as_ref().filter(|_| !redundant);
    let mut line = path.to_owned();
    if let Some(name) = named {
        line.push_str(&format!(" is {{{}}}{}", name.namespace, name.local));
    }
    for (name, value) in &element.attributes {
        assert!(name.namespace.is_empty() || name.namespace == INSTANCE);
        line.push_str(&format!(" {{{}}}{}={value:?}", name.namespace, name.local));
    }
    if !element.text.is_empty() {
        line.push_str(&format!(" {:?}", element.text));
    }
    lines.push(line);
    let actual = place.actual(element.xsi_type.as_ref());
    for child in &element.children {
        let place = match actual {
            Actual::Object(ty) => ty
                .fields()
                .find(|field| field.name() == child.name.local)
                .map_or(Place::ANY, Place::of),
            Actual::List(item) => item,
            Actual::Other => Place::ANY,
        };
        write(child, place, &format!("{path}/{}", child.name.local), lines);
    }
}

/// The comparison is only useful if it detects differences.
#[cfg(test)]
mod tests {
    use super::{Place, lines};
    use crate::xml::Element;

    /// Returns the lines of a page with one property, `value` and its attributes.
    fn page(value: &str) -> Vec<String> {
        let xml = format!(
            r#"<returnval xmlns="urn:vim25" xmlns:x="http://www.w3.org/2001/XMLSchema-instance"
                xmlns:s="http://www.w3.org/2001/XMLSchema"><objects><obj type="Folder">f</obj>
                <propSet><name>p</name>{value}</propSet></objects></returnval>"#
        );
        lines(&Element::read(&xml), Place::result("RetrievePropertiesEx"))
    }

    #[test]
    fn a_type_that_the_schema_declares_anyway_makes_no_difference() {
        let plain = page("<val x:type='Description'><label>a</label><summary>b</summary></val>");
        let spelt = page(
            "<val xmlns:y='http://www.w3.org/2001/XMLSchema-instance' y:type='Description'>
             <label y:type='s:string'>a</label> <summary>&#98;</summary></val>",
        );
        assert_eq!(plain, spelt);
        assert_eq!(
            page("<val x:type='ArrayOfOptionValue'><OptionValue><key>k</key></OptionValue></val>"),
            page(
                "<val x:type='ArrayOfOptionValue'><OptionValue x:type='OptionValue'>\
                 <key>k</key></OptionValue></val>"
            )
        );
    }

    #[test]
    fn a_type_a_text_an_attribute_or_an_element_more_or_less_is_a_difference() {
        let whole = "<val x:type='ArrayOfManagedObjectReference'>\
                     <ManagedObjectReference type='Task'>t</ManagedObjectReference></val>";
        for other in [
            whole.replace(" x:type='ArrayOfManagedObjectReference'", ""),
            whole.replace(" type='Task'", ""),
            whole.replace(">t<", "><"),
            whole.replace(" x:type='Array", " x:type='s:Array"),
            whole.replace("</val>", "<more/></val>"),
        ] {
            assert_ne!(page(whole), page(&other), "{other}");
        }
        assert_ne!(
            page("<val x:type='s:int'>1</val>"),
            page("<val x:type='s:long'>1</val>")
        );
        assert_ne!(
            page("<val x:type='ElementDescription'><label>a</label></val>"),
            page("<val x:type='Description'><label>a</label></val>")
        );
    }
}
