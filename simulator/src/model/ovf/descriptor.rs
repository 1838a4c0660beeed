//! The parts of an OVF descriptor that the simulator uses (DMTF DSP0243).

use vim25::Fault;
use vim25::types::{
    OvfElement, OvfInvalidValue, OvfMissingElement, OvfUnsupportedSection, OvfXmlFormat,
};

use super::xml::{self, Element};

/// A descriptor of one machine, or of a collection of machines, of which only the name is read.
#[derive(Debug, Default)]
pub(super) struct Descriptor {
    pub(super) is_collection: bool,
    pub(super) files: Vec<File>,
    pub(super) disks: Vec<Disk>,
    pub(super) networks: Vec<(String, String)>,
    pub(super) options: Vec<DeploymentOption>,
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) annotation: String,
    pub(super) eula: Vec<String>,
    /// The guest's type, as servers name it.
    pub(super) guest: Option<String>,
    /// The hardware versions that the descriptor accepts, such as `vmx-19`.
    pub(super) versions: Vec<String>,
    pub(super) product: Option<Product>,
    pub(super) properties: Vec<Property>,
    pub(super) items: Vec<Item>,
    pub(super) extra_config: Vec<(String, String)>,
    pub(super) warnings: Vec<Fault>,
}

/// A file of the package.
#[derive(Debug)]
pub(super) struct File {
    pub(super) id: String,
    pub(super) path: String,
    pub(super) size: Option<i64>,
    pub(super) compression: Option<String>,
    pub(super) chunk_size: Option<i64>,
}

/// A virtual disk.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) id: String,
    /// The id of its file; an empty disk has none.
    pub(super) file: Option<String>,
    /// The capacity in bytes.
    pub(super) capacity: u64,
    pub(super) populated: Option<i64>,
}

/// A configuration that the user may choose.
#[derive(Debug)]
pub(super) struct DeploymentOption {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) description: String,
    pub(super) is_default: bool,
}

#[derive(Debug)]
pub(super) struct Product {
    pub(super) class: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) name: Option<String>,
    pub(super) vendor: Option<String>,
    pub(super) version: Option<String>,
    pub(super) full_version: Option<String>,
}

/// A value that the user may set.
#[derive(Debug)]
pub(super) struct Property {
    pub(super) class: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) key: String,
    pub(super) ty: String,
    pub(super) is_configurable: bool,
    pub(super) default: Option<String>,
    pub(super) label: Option<String>,
    pub(super) description: Option<String>,
}

impl Property {
    /// Returns the name by which a property is set: `class.key.instance`.
    pub(super) fn id(&self) -> String {
        let parts = [
            self.class.as_deref(),
            Some(&*self.key),
            self.instance.as_deref(),
        ];
        let parts: Vec<_> = parts
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect();
        parts.join(".")
    }
}

/// An item of the virtual hardware.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) name: String,
    /// The type of the resource, by the numbers of CIM.
    pub(super) ty: i32,
    pub(super) sub_type: String,
    pub(super) quantity: Option<i64>,
    /// The factor of the quantity, such as 2^20.
    pub(super) unit: Option<u64>,
    pub(super) parent: Option<String>,
    pub(super) address: Option<i32>,
    pub(super) on_parent: Option<i32>,
    pub(super) host_resource: Option<String>,
    pub(super) connection: Option<String>,
    pub(super) is_required: bool,
    pub(super) is_connected: bool,
    /// The deployment options for which the item exists; all if empty.
    pub(super) configurations: Vec<String>,
    pub(super) cores_per_socket: Option<i32>,
}

impl Descriptor {
    /// Reads a descriptor.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let root = xml::parse(text).map_err(|malformed| {
            let mut detail = OvfXmlFormat::default();
            detail.description.clone_from(&malformed.what);
            detail.base.line_number = line(malformed.line);
            let words = format!("Line {}: {}", malformed.line, malformed.what);
            Fault::new(&words, detail)
        })?;
        if root.name != "Envelope" {
            return Err(missing("Envelope", root.line));
        }
        let mut all = Self::default();
        all.references(&root)?;
        all.disks(&root)?;
        for network in sections(&root, "NetworkSection").flat_map(|all| all.all("Network")) {
            let name = network.attribute("name");
            let name = name.ok_or_else(|| missing("Network/name", network.line))?;
            let description = network.text_of("Description").unwrap_or_default();
            all.networks.push((name.to_owned(), description.to_owned()));
        }
        let options = sections(&root, "DeploymentOptionSection");
        for option in options.flat_map(|all| all.all("Configuration")) {
            let id = option.attribute("id");
            let id = id.ok_or_else(|| missing("Configuration/id", option.line))?;
            all.options.push(DeploymentOption {
                id: id.to_owned(),
                label: option.text_of("Label").unwrap_or(id).to_owned(),
                description: option.text_of("Description").unwrap_or_default().to_owned(),
                is_default: is_true(option.attribute("default")),
            });
        }
        let machine = root.child("VirtualSystem");
        let collection = root.child("VirtualSystemCollection");
        let Some(content) = machine.or(collection) else {
            return Err(missing("VirtualSystem", root.line));
        };
        all.is_collection = machine.is_none();
        all.id = content.attribute("id").unwrap_or_default().to_owned();
        all.name = content.text_of("Name").map(str::to_owned);
        if !all.is_collection {
            all.content(content)?;
        }
        Ok(all)
    }

    fn references(&mut self, root: &Element) -> Result<(), Fault> {
        for file in sections(root, "References").flat_map(|all| all.all("File")) {
            let get = |name| file.attribute(name).map(str::to_owned);
            self.files.push(File {
                id: get("id").ok_or_else(|| missing("File/id", file.line))?,
                path: get("href").ok_or_else(|| missing("File/href", file.line))?,
                size: number(file, "size")?,
                compression: get("compression").filter(|method| method != "identity"),
                chunk_size: number(file, "chunkSize")?,
            });
        }
        Ok(())
    }

    fn disks(&mut self, root: &Element) -> Result<(), Fault> {
        for disk in sections(root, "DiskSection").flat_map(|all| all.all("Disk")) {
            let id = disk.attribute("diskId");
            let id = id.ok_or_else(|| missing("Disk/diskId", disk.line))?;
            let capacity: Option<u64> = number(disk, "capacity")?;
            let capacity = capacity.ok_or_else(|| missing("Disk/capacity", disk.line))?;
            let unit = match disk.attribute("capacityAllocationUnits") {
                None => Some(1),
                Some(units) => factor(units),
            };
            let capacity = unit.and_then(|unit| capacity.checked_mul(unit));
            let capacity = capacity
                .filter(|bytes| i64::try_from(*bytes).is_ok())
                .ok_or_else(|| invalid(disk, "capacityAllocationUnits"))?;
            self.disks.push(Disk {
                id: id.to_owned(),
                file: disk.attribute("fileRef").map(str::to_owned),
                capacity,
                populated: number(disk, "populatedSize")?,
            });
        }
        Ok(())
    }

    /// Reads the content of a machine.
    fn content(&mut self, machine: &Element) -> Result<(), Fault> {
        for section in &machine.children {
            match section.name.as_str() {
                "AnnotationSection" => {
                    self.annotation = section.text_of("Annotation").unwrap_or_default().to_owned();
                }
                "EulaSection" => self
                    .eula
                    .extend(section.texts("License").map(str::to_owned)),
                "OperatingSystemSection" => {
                    self.guest = section.attribute("osType").map(str::to_owned);
                }
                "ProductSection" => self.product(section)?,
                "VirtualHardwareSection" => self.hardware(section)?,
                "Info" | "Name" => {}
                other if section.attribute("required") != Some("false") => {
                    return Err(unsupported_section(other));
                }
                other => self.warnings.push(unsupported_section(other)),
            }
        }
        if self.items.is_empty() {
            return Err(missing("VirtualHardwareSection", machine.line));
        }
        Ok(())
    }

    fn product(&mut self, section: &Element) -> Result<(), Fault> {
        let attribute = |name| {
            let value = section.attribute(name).filter(|value| !value.is_empty());
            value.map(str::to_owned)
        };
        let text = |name| section.text_of(name).map(str::to_owned);
        let product = Product {
            class: attribute("class"),
            instance: attribute("instance"),
            name: text("Product"),
            vendor: text("Vendor"),
            version: text("Version"),
            full_version: text("FullVersion"),
        };
        for property in section.all("Property") {
            let get = |name| property.attribute(name).map(str::to_owned);
            self.properties.push(Property {
                class: product.class.clone(),
                instance: product.instance.clone(),
                key: get("key").ok_or_else(|| missing("Property/key", property.line))?,
                ty: get("type").ok_or_else(|| missing("Property/type", property.line))?,
                is_configurable: is_true(property.attribute("userConfigurable")),
                default: get("value"),
                label: property.text_of("Label").map(str::to_owned),
                description: property.text_of("Description").map(str::to_owned),
            });
        }
        self.product.get_or_insert(product);
        Ok(())
    }

    fn hardware(&mut self, section: &Element) -> Result<(), Fault> {
        if let Some(versions) = section
            .child("System")
            .and_then(|system| system.text_of("VirtualSystemType"))
        {
            let versions = versions
                .split([',', ' '])
                .filter(|version| !version.is_empty());
            self.versions.extend(versions.map(str::to_owned));
        }
        for extra in section.all("ExtraConfig") {
            let (key, value) = (extra.attribute("key"), extra.attribute("value"));
            let key = key.ok_or_else(|| missing("ExtraConfig/key", extra.line))?;
            let value = value.unwrap_or_default();
            self.extra_config.push((key.to_owned(), value.to_owned()));
        }
        // Ethernet and storage items of newer descriptors have the same content.
        let is_item = |item: &&Element| {
            let name = item.name.as_str();
            matches!(name, "Item" | "StorageItem" | "EthernetPortItem")
        };
        for item in section.children.iter().filter(is_item) {
            let text = |name| item.text_of(name).map(str::to_owned);
            let required = |name: &str| missing(&format!("Item/{name}"), item.line);
            self.items.push(Item {
                id: text("InstanceID").ok_or_else(|| required("InstanceID"))?,
                name: text("ElementName")
                    .or_else(|| text("Caption"))
                    .unwrap_or_default(),
                ty: value(item, "ResourceType")?.ok_or_else(|| required("ResourceType"))?,
                sub_type: text("ResourceSubType").unwrap_or_default(),
                quantity: value(item, "VirtualQuantity")?,
                unit: item.text_of("AllocationUnits").and_then(factor),
                parent: text("Parent"),
                address: value(item, "Address").unwrap_or_default(),
                on_parent: value(item, "AddressOnParent").unwrap_or_default(),
                host_resource: text("HostResource"),
                connection: text("Connection"),
                is_required: item.attribute("required") != Some("false"),
                is_connected: item.text_of("AutomaticAllocation") != Some("false"),
                configurations: item
                    .attribute("configuration")
                    .map(|list| list.split_whitespace().map(str::to_owned).collect())
                    .unwrap_or_default(),
                cores_per_socket: value(item, "CoresPerSocket")?,
            });
        }
        Ok(())
    }

    /// Returns the name that the machine gets unless another is chosen.
    pub(super) fn default_name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }

    /// Returns the deployment option that is used unless another is chosen.
    pub(super) fn default_option(&self) -> &str {
        let marked = self.options.iter().find(|option| option.is_default);
        let option = marked.or_else(|| self.options.first());
        option.map_or("", |option| &option.id)
    }
}

fn sections<'e>(root: &'e Element, name: &'e str) -> impl Iterator<Item = &'e Element> {
    root.all(name)
}

fn is_true(value: Option<&str>) -> bool {
    matches!(value, Some("true" | "1"))
}

/// Returns the factor of a unit, such as `byte * 2^20`, `MegaBytes` or `hertz * 10^6`.
fn factor(units: &str) -> Option<u64> {
    let units = units.trim();
    let Some((_, factor)) = units.split_once('*') else {
        return match units.to_ascii_lowercase().as_str() {
            "byte" | "bytes" | "hertz" => Some(1),
            "kilobytes" => Some(1 << 10),
            "megabytes" => Some(1 << 20),
            "gigabytes" => Some(1 << 30),
            _ => None,
        };
    };
    match factor.trim().split_once('^') {
        Some((base, exponent)) => {
            let base: u64 = base.trim().parse().ok()?;
            base.checked_pow(exponent.trim().parse().ok()?)
        }
        None => factor.trim().parse().ok(),
    }
}

fn number<T: std::str::FromStr>(element: &Element, name: &str) -> Result<Option<T>, Fault> {
    let text = element.attribute(name).map(str::trim);
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|_| invalid(element, name)))
        .transpose()
}

fn value<T: std::str::FromStr>(item: &Element, name: &str) -> Result<Option<T>, Fault> {
    let text = item.text_of(name);
    text.map(|text| {
        text.parse().map_err(|_| {
            let mut detail = OvfElement::default();
            detail.name = name.to_owned();
            detail.base.line_number = line(item.line);
            let words = format!("Line {}: Invalid value '{text}' of {name}.", item.line);
            Fault::new(&words, detail)
        })
    })
    .transpose()
}

fn line(line: usize) -> i32 {
    i32::try_from(line).unwrap_or(i32::MAX)
}

fn invalid(element: &Element, attribute: &str) -> Fault {
    let mut detail = OvfInvalidValue::default();
    detail.value = element.attribute(attribute).unwrap_or_default().to_owned();
    detail.base.element_name = element.name.clone();
    detail.base.attribute_name = attribute.to_owned();
    detail.base.base.line_number = line(element.line);
    let words = format!(
        "Line {}: Invalid value '{}' for attribute '{attribute}' on element '{}'.",
        element.line, detail.value, element.name
    );
    Fault::new(&words, detail)
}

fn missing(what: &str, at: usize) -> Fault {
    let mut detail = OvfMissingElement::default();
    detail.base.name = what.to_owned();
    detail.base.base.line_number = line(at);
    Fault::new(format!("Line {at}: Missing '{what}'."), detail)
}

fn unsupported_section(name: &str) -> Fault {
    let mut detail = OvfUnsupportedSection::default();
    detail.base.name = name.to_owned();
    Fault::new(format!("Unsupported section '{name}'."), detail)
}

#[cfg(test)]
mod tests {
    use super::factor;

    #[test]
    fn units_are_factors() {
        for (units, expected) in [
            ("byte * 2^20", Some(1 << 20)),
            ("byte*2^30", Some(1 << 30)),
            ("byte * 1024", Some(1_024)),
            ("byte", Some(1)),
            ("MegaBytes", Some(1 << 20)),
            ("hertz * 10^6", Some(1_000_000)),
            ("byte * 2^64", None),
            ("furlong", None),
            ("byte * x", None),
        ] {
            assert_eq!(factor(units), expected, "{units}");
        }
    }
}
