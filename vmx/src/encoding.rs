//! Charsets of values, named as VMware names them in `.encoding`.

use std::borrow::Cow;
use std::fmt;

use encoding_rs as codec;

/// A charset of values.
///
/// [`for_label`](Self::for_label) accepts the names that VMware writes and their aliases;
/// `Display` prints the name that VMware writes. Every supported charset encodes ASCII as
/// single bytes, which the grammar requires.
///
/// ```
/// use vmx::Encoding;
///
/// let korean = Encoding::for_label("windows-949-2000")?;
/// assert_eq!(korean.decode(b"\xBD\xC7\xC7\xE0").as_deref(), Some("실행"));
/// assert_eq!(Encoding::for_label("CP936")?.to_string(), "GBK");
/// # Ok::<(), vmx::EncodingError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Encoding(&'static Charset);

struct Charset {
    /// The name as VMware writes it.
    name: &'static str,
    codec: Codec,
    /// Other names, reduced to lower-case letters and digits.
    aliases: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Codec {
    Ascii,
    /// ISO-8859-1: each byte is the character with that number. The WHATWG tables would
    /// decode it as windows-1252.
    Latin1,
    /// A table of the WHATWG encoding standard.
    Table(&'static codec::Encoding),
    /// A table with printable characters where the ISO-8859 charset has the controls
    /// 80-9F.
    TableWithControls(&'static codec::Encoding),
}

use Codec::{Ascii, Latin1, Table, TableWithControls};

macro_rules! charsets {
    ($($name:literal $codec:expr, [$($alias:literal)*];)*) => {
        &[$(Charset { name: $name, codec: $codec, aliases: &[$($alias),*] }),*]
    };
}

/// Names and aliases. Sources: open-vm-tools lib/unicode/unicodeSimpleTypes.c, and the
/// aliases in ICU and IANA.
static CHARSETS: &[Charset] = charsets! {
    "UTF-8" Table(codec::UTF_8), ["utf8" "ibm1208" "cp1208" "windows65001" "cp65001" "unicode11utf8"];
    "windows-1252" Table(codec::WINDOWS_1252), ["windows1252" "cp1252" "ibm5348"];
    "windows-1250" Table(codec::WINDOWS_1250), ["windows1250" "cp1250" "ibm5346"];
    "windows-1251" Table(codec::WINDOWS_1251), ["windows1251" "cp1251" "ibm5347" "ansi1251"];
    "windows-1253" Table(codec::WINDOWS_1253), ["windows1253" "cp1253" "ibm5349"];
    "windows-1254" Table(codec::WINDOWS_1254), ["windows1254" "cp1254" "ibm5350"];
    "windows-1255" Table(codec::WINDOWS_1255), ["windows1255" "cp1255" "ibm9447"];
    "windows-1256" Table(codec::WINDOWS_1256), ["windows1256" "cp1256" "ibm9448"];
    "windows-1257" Table(codec::WINDOWS_1257), ["windows1257" "cp1257" "ibm9449"];
    "windows-1258" Table(codec::WINDOWS_1258), ["windows1258" "cp1258" "ibm5354"];
    // VMware means code page 932 (ibm-943) by this name, and so does the table.
    "Shift_JIS" Table(codec::SHIFT_JIS),
        ["shiftjis" "sjis" "mskanji" "windows31j" "cswindows31j" "windows932" "cp932" "ms932"
         "ibm943" "cp943" "ibm943c" "cp943c" "xsjis" "xmscp932" "pck"];
    "GBK" Table(codec::GBK),
        ["gbk" "windows936" "windows9362000" "cp936" "ms936" "ibm1386" "cp1386" "gb2312" "euccn" "chinese"];
    "GB18030" Table(codec::GB18030), ["gb18030" "windows54936" "cp54936" "ibm1392"];
    "windows-949-2000" Table(codec::EUC_KR),
        ["windows9492000" "windows949" "cp949" "ms949" "ibm1363" "cp1363" "ksc5601" "ksc56011987"
         "ksc56011989" "korean" "euckr" "uhc"];
    "Big5" Table(codec::BIG5),
        ["big5" "windows950" "windows9502000" "cp950" "ms950" "ibm1373" "ibm1370" "xbig5" "big5hkscs"];
    "ibm-874" Table(codec::WINDOWS_874),
        ["ibm874" "cp874" "windows874" "windows8742000" "ms874" "tis620" "ibm9066" "ibm1162"];
    "ASCII" Ascii,
        ["ascii" "usascii" "ansix341968" "ansix341986" "iso646us" "iso646irv1991" "us" "windows20127"
         "cp20127" "cp367" "ibm367" "646" "ascii7"];
    "ISO-8859-1" Latin1,
        ["iso88591" "iso885911987" "latin1" "l1" "ibm819" "cp819" "windows28591" "cp28591" "88591"];
    "ISO-8859-2" Table(codec::ISO_8859_2), ["iso88592" "latin2" "l2" "ibm912" "cp912" "windows28592" "88592"];
    "ISO-8859-3" Table(codec::ISO_8859_3), ["iso88593" "latin3" "l3" "ibm913" "cp913" "windows28593" "88593"];
    "ISO-8859-4" Table(codec::ISO_8859_4), ["iso88594" "latin4" "l4" "ibm914" "cp914" "windows28594" "88594"];
    "ISO-8859-5" Table(codec::ISO_8859_5), ["iso88595" "cyrillic" "ibm915" "cp915" "windows28595" "88595"];
    "ISO-8859-6" Table(codec::ISO_8859_6), ["iso88596" "arabic" "ibm1089" "cp1089" "windows28596" "88596"];
    "ISO-8859-7" Table(codec::ISO_8859_7), ["iso88597" "greek" "greek8" "ibm9005" "ibm813" "cp813" "windows28597" "88597"];
    "ISO-8859-8" Table(codec::ISO_8859_8), ["iso88598" "iso88598i" "hebrew" "ibm5012" "ibm916" "cp916" "windows28598" "88598"];
    "ISO-8859-9" TableWithControls(codec::WINDOWS_1254),
        ["iso88599" "latin5" "l5" "ibm920" "cp920" "windows28599" "turkish" "88599"];
    "ISO-8859-10" Table(codec::ISO_8859_10), ["iso885910" "latin6" "l6" "windows28600"];
    "ISO-8859-11" TableWithControls(codec::WINDOWS_874), ["iso885911" "thai8"];
    "ISO-8859-13" Table(codec::ISO_8859_13), ["iso885913" "latin7" "l7" "ibm921" "cp921" "windows28603"];
    "ISO-8859-14" Table(codec::ISO_8859_14), ["iso885914" "latin8" "l8" "isoceltic"];
    "ISO-8859-15" Table(codec::ISO_8859_15), ["iso885915" "latin9" "l9" "ibm923" "cp923" "windows28605"];
    "ISO-8859-16" Table(codec::ISO_8859_16), ["iso885916" "latin10" "l10"];
    "KOI8-R" Table(codec::KOI8_R), ["koi8r" "koi8" "ibm878" "cp878" "windows20866"];
    "KOI8-U" Table(codec::KOI8_U), ["koi8u" "ibm1168" "windows21866"];
    "EUC-JP" Table(codec::EUC_JP), ["eucjp" "ujis" "xeucjp" "windows51932" "eucjp2007" "ibm33722" "ibm954"];
    "ibm-866" Table(codec::IBM866), ["ibm866" "cp866" "866" "windows866"];
    "macintosh" Table(codec::MACINTOSH), ["macintosh" "mac" "ibm1275" "windows10000"];
    "x-mac-cyrillic" Table(codec::X_MAC_CYRILLIC), ["xmaccyrillic" "maccyrillic" "xmacukraine" "windows10007"];
};

impl Encoding {
    /// UTF-8, which ESXi, Linux and macOS hosts write.
    pub const UTF_8: Self = Self(&CHARSETS[0]);

    /// Returns the charset that `.encoding = "label"` declares.
    ///
    /// Names are matched as VMware does: case and everything but letters and digits are
    /// ignored, so `utf8`, `CP936` and `shift-jis` are known.
    ///
    /// # Errors
    ///
    /// Fails if the name is not known. VMware knows more charsets: EBCDIC, UTF-16, UTF-32
    /// and the ISO-2022 family, in which the grammar itself could not be written, and DOS
    /// code pages, which no host uses as its own charset.
    pub fn for_label(label: &str) -> Result<Self, EncodingError> {
        let mut plain = [0; 32];
        let mut length = 0;
        for byte in label.bytes().filter(u8::is_ascii_alphanumeric) {
            let Some(slot) = plain.get_mut(length) else {
                return Err(EncodingError::Unknown {
                    label: label.into(),
                });
            };
            *slot = byte.to_ascii_lowercase();
            length += 1;
        }
        let plain = &plain[..length];
        CHARSETS
            .iter()
            .find(|charset| {
                charset
                    .aliases
                    .iter()
                    .any(|alias| alias.as_bytes() == plain)
            })
            .map(Self)
            .ok_or_else(|| EncodingError::Unknown {
                label: label.into(),
            })
    }

    /// Returns all supported charsets, the most frequent first.
    pub fn all() -> impl Iterator<Item = Self> {
        CHARSETS.iter().map(Self)
    }

    /// Returns the name that VMware writes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// Decodes `bytes`. Returns `None` if they are not valid in this charset.
    ///
    /// Never inserts replacement characters.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self.0.codec {
            Ascii => ascii(bytes).map(Cow::Borrowed),
            Latin1 => Some(codec::mem::decode_latin1(bytes)),
            Table(table) => table.decode_without_bom_handling_and_without_replacement(bytes),
            TableWithControls(table) => {
                if !bytes.iter().any(|byte| matches!(byte, 0x80..=0x9F)) {
                    return table.decode_without_bom_handling_and_without_replacement(bytes);
                }
                let mut text = String::with_capacity(bytes.len() * 2);
                for byte in bytes {
                    match byte {
                        0x80..=0x9F => text.push(char::from(*byte)),
                        other => text.push_str(
                            &table
                                .decode_without_bom_handling_and_without_replacement(&[*other])?,
                        ),
                    }
                }
                Some(Cow::Owned(text))
            }
        }
    }

    /// Encodes `text`. Fails with the first character that this charset cannot represent.
    ///
    /// A character counts as representable only if its bytes decode to it again. For
    /// example, Shift_JIS would turn the yen sign into a backslash, so it is refused.
    ///
    /// # Errors
    ///
    /// Returns the first character that cannot be represented.
    pub fn encode(self, text: &str) -> Result<Cow<'_, [u8]>, char> {
        if text.is_ascii() || self == Self::UTF_8 {
            return Ok(Cow::Borrowed(text.as_bytes()));
        }
        if let Some(bytes) = self.encode_faithfully(text) {
            return Ok(bytes);
        }
        let mut buffer = [0; 4];
        let held = |&char: &char| {
            self.encode_faithfully(char.encode_utf8(&mut buffer))
                .is_none()
        };
        Err(text
            .chars()
            .find(held)
            .unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn encode_faithfully(self, text: &str) -> Option<Cow<'_, [u8]>> {
        let bytes = match self.0.codec {
            Ascii => {
                return text
                    .is_ascii()
                    .then(|| Cow::Owned(text.as_bytes().to_vec()));
            }
            Latin1 => {
                if !codec::mem::is_str_latin1(text) {
                    return None;
                }
                codec::mem::encode_latin1_lossy(text).into_owned()
            }
            Table(table) => {
                let (bytes, _, lost) = table.encode(text);
                if lost {
                    return None;
                }
                bytes.into_owned()
            }
            TableWithControls(table) => {
                let mut bytes = Vec::with_capacity(text.len());
                let mut buffer = [0; 4];
                for char in text.chars() {
                    match u32::from(char) {
                        control @ 0x80..=0x9F => bytes.push(u8::try_from(control).ok()?),
                        _ => match table.encode(char.encode_utf8(&mut buffer)) {
                            (_, _, true) => return None,
                            (encoded, _, false) => bytes.extend_from_slice(&encoded),
                        },
                    }
                }
                bytes
            }
        };
        (self.decode(&bytes)? == text).then_some(Cow::Owned(bytes))
    }
}

/// Returns `bytes` as text if all of them are ASCII, which is valid in every supported
/// charset.
pub(crate) fn ascii(bytes: &[u8]) -> Option<&str> {
    if bytes.is_ascii() {
        std::str::from_utf8(bytes).ok()
    } else {
        None
    }
}

impl Default for Encoding {
    fn default() -> Self {
        Self::UTF_8
    }
}

impl PartialEq for Encoding {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Encoding {}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoding({})", self.0.name)
    }
}

/// A charset declaration that is unknown or contradictory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodingError {
    /// The declared name is not known.
    #[error("unknown character encoding {label:?}")]
    Unknown {
        /// The name as declared.
        label: Box<str>,
    },
    /// A second declaration contradicts the first.
    #[error("character encoding declared as {first} and again as {second}")]
    Conflict {
        /// The charset of the first declaration.
        first: Encoding,
        /// The charset of the later declaration.
        second: Encoding,
    },
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn every_name_and_alias_is_found_and_means_one_charset() {
        let mut seen = std::collections::HashMap::new();
        for charset in Encoding::all() {
            assert_eq!(
                Encoding::for_label(charset.name()).unwrap(),
                charset,
                "{charset}"
            );
            for alias in charset.0.aliases {
                let plain: String = alias.chars().filter(char::is_ascii_alphanumeric).collect();
                if let Some(other) = seen.insert(plain, charset) {
                    assert_eq!(other, charset, "{alias}");
                }
            }
        }
    }

    #[test]
    fn labels_are_read_as_vmware_reads_them() {
        for (label, name) in [
            ("utf8", "UTF-8"),
            ("Windows-1252", "windows-1252"),
            ("CP936", "GBK"),
            ("shift-jis", "Shift_JIS"),
            ("windows-949-2000", "windows-949-2000"),
            ("ibm-874", "ibm-874"),
            ("iso_8859-1", "ISO-8859-1"),
        ] {
            assert_eq!(Encoding::for_label(label).unwrap().name(), name);
        }
        for label in ["", "UTF-16", "nonsense", &"x".repeat(100), "文字"] {
            assert!(Encoding::for_label(label).is_err(), "{label}");
        }
    }

    #[test]
    fn gbk_that_is_valid_utf_8_is_read_as_gbk() {
        let gbk = Encoding::for_label("GBK").unwrap();
        assert_eq!(gbk.decode(b"\xCE\xBB").unwrap(), "位");
        assert_eq!(Encoding::UTF_8.decode(b"\xCE\xBB").unwrap(), "λ");
    }

    #[test]
    fn latin_1_is_not_windows_1252() {
        let latin1 = Encoding::for_label("latin1").unwrap();
        assert_eq!(latin1.decode(b"\x80").unwrap(), "\u{80}");
        assert_eq!(latin1.encode("€"), Err('€'));
        let latin5 = Encoding::for_label("ISO-8859-9").unwrap();
        assert_eq!(latin5.decode(b"\x80\xFD").unwrap(), "\u{80}ı");
        assert_eq!(latin5.encode("\u{80}ı").unwrap(), &b"\x80\xFD"[..]);
    }

    #[test]
    fn what_would_come_back_as_something_else_is_not_held() {
        let shift_jis = Encoding::for_label("Shift_JIS").unwrap();
        assert_eq!(shift_jis.encode("ok ¥"), Err('¥'));
        assert_eq!(shift_jis.encode("実行").unwrap(), &b"\x8E\xC0\x8D\x73"[..]);
    }

    #[test]
    fn every_charset_takes_back_what_it_gives() {
        for charset in Encoding::all() {
            for bytes in (0..=255u8)
                .map(|byte| vec![byte])
                .chain((0..=255).map(|b| vec![0xA4, b]))
            {
                let Some(text) = charset.decode(&bytes) else {
                    continue;
                };
                // Some charsets have two encodings of one character, so texts are
                // compared.
                if let Ok(again) = charset.encode(&text) {
                    assert_eq!(
                        charset.decode(&again).unwrap(),
                        text,
                        "{charset} {bytes:02X?}"
                    );
                } else {
                    assert!(bytes.len() > 1, "{charset} {bytes:02X?}");
                }
            }
        }
    }
}
