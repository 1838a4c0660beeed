//! Converts wire names to Rust names.
//!
//! A wire name is split into words, which are joined again in Rust's spelling.
//! Acronyms are kept whole (`numCPUs` is `num_cpus`), and so are the names of products
//! and units whose inner capitals are not word boundaries (`NVMe`, `MBps`). A single
//! letter before a word is joined with it where vSphere treats the two as one word
//! (`vApp`, `iScsi`, `PMem`).

/// Words whose capitals are not word boundaries, in the wire's spelling.
const WHOLE: [&str; 44] = [
    "3D", "3d", "ESXi", "GBps", "GHz", "Gbps", "GiB", "HWv", "HyperV", "ICH7M", "IOps", "IPV4",
    "IPV6", "IPv4", "IPv6", "IpV4", "IpV6", "Ipv4", "Ipv6", "KBps", "KHz", "Kbps", "KiB", "MACs",
    "MBps", "MHz", "Mbps", "MiB", "NFSv41", "NVMe", "NVMes", "PCIe", "QoS", "SVMotion", "VMkernel",
    "VMware", "VSAN", "hB", "iPv4", "iPv6", "iSCSI", "ipV4", "ipV6", "vSAN",
];

/// Single letters that belong to the word after them. With `Some`, this applies only to a
/// word that starts like this.
const PREFIXES: [(&str, Option<&str>); 5] = [
    ("i", None),
    ("n", Some("connect")),
    ("p", Some("mem")),
    ("p", Some("nic")),
    ("v", None),
];

/// Words that cannot be identifiers. `base` is the field that contains the base.
const RESERVED: [&str; 53] = [
    "Self", "abstract", "as", "async", "await", "base", "become", "box", "break", "const",
    "continue", "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for",
    "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override",
    "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true", "try",
    "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Converts `capacityInKB` to `capacity_in_kb`: fields, parameters, modules.
pub(crate) fn snake(wire: &str) -> String {
    let name = legal(words(wire).join("_"));
    if RESERVED.contains(&name.as_str()) {
        name + "_"
    } else {
        name
    }
}

/// Converts `ReconfigVM_Task` to `reconfig_vm`.
pub(crate) fn method(wire: &str) -> String {
    snake(wire.strip_suffix("_Task").unwrap_or(wire))
}

/// Converts `capacityInKB` to `CAPACITY_IN_KB`: constants.
pub(crate) fn constant(wire: &str) -> String {
    legal(words(wire).join("_").to_uppercase())
}

/// Returns the wire name with its first letter in upper case, without invalid characters.
pub(crate) fn type_name(wire: &str) -> String {
    legal(capitalised(
        &wire
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>(),
    ))
}

/// Returns the variants for an enum's values, in order, without duplicate names.
pub(crate) fn variants(values: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(values.len());
    for value in values {
        let mut name = variant(value);
        while names.contains(&name) {
            name.push('_');
        }
        names.push(name);
    }
    names
}

/// Converts `poweredOn` to `PoweredOn`. An underscore between digits of different words
/// distinguishes `windows7_64Guest` from `windows76_4Guest`.
fn variant(value: &str) -> String {
    let mut name = String::new();
    for word in words(value) {
        if name.ends_with(|c: char| c.is_ascii_digit())
            && word.starts_with(|c: char| c.is_ascii_digit())
        {
            name.push('_');
        }
        name.push_str(&capitalised(&word));
    }
    let name = legal(name);
    if ["Other", "Self", "Unset"].contains(&name.as_str()) {
        name + "_"
    } else {
        name
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    match chars.next() {
        Some(first) => first.to_ascii_uppercase().to_string() + chars.as_str(),
        None => String::new(),
    }
}

/// Makes an identifier valid: it must neither be empty nor start with a digit.
fn legal(name: String) -> String {
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return format!("_{name}");
    }
    name
}

/// Splits a name into words, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    // A single letter is kept to be joined with the word after it.
    let mut letter: Option<String> = None;
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        if !first.is_ascii_alphanumeric() {
            words.extend(letter.take());
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, tail) = rest.split_at(first_word(rest));
        rest = tail;
        let word = word.to_ascii_lowercase();
        if let Some(letter) = letter.take() {
            if PREFIXES
                .iter()
                .any(|&(l, to)| l == letter && to.is_none_or(|to| word.starts_with(to)))
            {
                words.push(letter + &word);
                continue;
            }
            words.push(letter);
        }
        if word.len() == 1 && word.bytes().all(|b| b.is_ascii_lowercase()) {
            letter = Some(word);
        } else {
            words.push(word);
        }
    }
    words.extend(letter);
    words
}

/// Returns the length of the first word in a text that starts with a letter or digit.
fn first_word(text: &str) -> usize {
    if let Some(len) = whole(text) {
        return len;
    }
    let bytes = text.as_bytes();
    let upper = run(bytes, 0, u8::is_ascii_uppercase);
    if upper == 0 {
        return lower_run(text, 0);
    }
    match bytes.get(upper) {
        Some(b) if b.is_ascii_digit() => lower_run(text, upper),
        Some(b's') if upper > 1 && !bytes.get(upper + 1).is_some_and(u8::is_ascii_lowercase) => {
            run(bytes, upper + 1, u8::is_ascii_digit)
        }
        Some(b) if b.is_ascii_lowercase() && upper > 1 => upper - 1,
        Some(b) if b.is_ascii_lowercase() => lower_run(text, upper),
        _ => upper,
    }
}

/// Returns the length of the longest of [`WHOLE`] with which the text starts. If a
/// lower-case letter follows, it is part of a different word and does not count, unless
/// another of them starts there.
fn whole(text: &str) -> Option<usize> {
    let ends = |word: &&&str| {
        text.strip_prefix(**word).is_some_and(|rest| {
            !rest.starts_with(|c: char| c.is_ascii_lowercase()) || whole(rest).is_some()
        })
    };
    WHOLE.iter().filter(ends).map(|word| word.len()).max()
}

/// Returns the end of the lower-case letters and digits from `start`; `3d` is a word of its own.
fn lower_run(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut end = start;
    while end < bytes.len() && (bytes[end].is_ascii_lowercase() || bytes[end].is_ascii_digit()) {
        if end > start
            && matches!(text.get(end..end + 2), Some("3d" | "3D"))
            && whole(&text[end..]).is_some()
            && !bytes[end - 1].is_ascii_digit()
        {
            break;
        }
        end += 1;
    }
    end
}

fn run(bytes: &[u8], start: usize, of: fn(&u8) -> bool) -> usize {
    bytes.iter().skip(start).take_while(|b| of(b)).count() + start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_acronyms_whole() {
        for (wire, rust) in [
            ("capacityInKB", "capacity_in_kb"),
            ("VSANIsWitnessHost", "vsan_is_witness_host"),
            ("enable3DSupport", "enable_3d_support"),
            ("iScsiName", "iscsi_name"),
            ("internetSCSIHba", "internet_scsi_hba"),
            ("ipV6Enabled", "ipv6_enabled"),
            ("IPv6Address", "ipv6_address"),
            ("memoryMB", "memory_mb"),
            ("numCPUs", "num_cpus"),
            ("numVMsOnline", "num_vms_online"),
            ("nvmeNVMeNamespace", "nvme_nvme_namespace"),
            ("reservedMBps", "reserved_mbps"),
            ("sha256", "sha256"),
            ("use3dRenderer", "use_3d_renderer"),
            ("vAppConfig", "vapp_config"),
            ("vFlashCacheConfigInfo", "vflash_cache_config_info"),
            ("vmPathName", "vm_path_name"),
            ("x509Certificate", "x509_certificate"),
        ] {
            assert_eq!(snake(wire), rust, "{wire}");
        }
    }

    #[test]
    fn words_of_the_language_get_an_underscore() {
        assert_eq!(snake("type"), "type_");
        assert_eq!(snake("base"), "base_");
        assert_eq!(snake("self"), "self_");
        assert_eq!(snake("3dMemory"), "_3d_memory");
    }

    #[test]
    fn methods_lose_their_task_suffix() {
        assert_eq!(method("ReconfigVM_Task"), "reconfig_vm");
        assert_eq!(method("PowerOnVApp_Task"), "power_on_vapp");
        assert_eq!(
            method("RefreshCACertificatesAndCRLs_Task"),
            "refresh_ca_certificates_and_crls"
        );
        assert_eq!(method("setCustomValue"), "set_custom_value");
    }

    #[test]
    fn types_keep_the_wire_name() {
        assert_eq!(type_name("VMwareDVSConfigInfo"), "VMwareDVSConfigInfo");
        assert_eq!(type_name("vslmVClockInfo"), "VslmVClockInfo");
    }

    #[test]
    fn constants_are_fields_in_capitals() {
        assert_eq!(constant("guestHeartbeatStatus"), "GUEST_HEARTBEAT_STATUS");
        assert_eq!(constant("type"), "TYPE");
    }

    #[test]
    fn variants_are_upper_camel_and_unlike_each_other() {
        let names =
            |values: &[&str]| variants(&values.iter().map(|&v| v.to_owned()).collect::<Vec<_>>());
        assert_eq!(
            names(&["poweredOff", "poweredOn"]),
            ["PoweredOff", "PoweredOn"]
        );
        assert_eq!(names(&["windows7_64Guest"]), ["Windows7_64Guest"]);
        assert_eq!(
            names(&["MOUNT_NOT_DIR", "NFS41", "vsanD"]),
            ["MountNotDir", "Nfs41", "VsanD"]
        );
        assert_eq!(
            names(&["other", "OTHER", "self", "unset"]),
            ["Other_", "Other__", "Self_", "Unset_"]
        );
        assert_eq!(
            names(&["native_512", "vSANiSCSI"]),
            ["Native512", "VsanIscsi"]
        );
        assert_eq!(names(&["windowsHyperVGuest"]), ["WindowsHypervGuest"]);
    }
}
