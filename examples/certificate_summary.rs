//! Reads who a certificate is for, and how long it is valid.

use anyhow::{Context as _, Result, bail};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// What a certificate says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The name of the owner, such as `CN=vch-1`.
    pub subject: String,
    /// The end of its validity, such as `2031-02-03T00:00:00Z`.
    pub expires: String,
}

/// Summarizes the certificates in a PEM text.
///
/// # Errors
/// Fails when one of them cannot be read.
pub fn summaries(pem: &str) -> Result<Vec<Summary>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(|certificate| summary(&certificate.context("it is not in PEM")?))
        .collect()
}

// The tags of DER that certificates consist of (ITU-T X.690, RFC 5280).
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const TIME: u8 = 0x18;

fn summary(certificate: &[u8]) -> Result<Summary> {
    let (certificate, _) = within(certificate, SEQUENCE)?;
    let (mut fields, _) = within(certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.rest;
    }
    // Serial number, algorithm and issuer.
    for _ in 0..3 {
        fields = element(fields)?.rest;
    }
    let (validity, fields) = within(fields, SEQUENCE)?;
    let end = element(element(validity)?.rest)?;
    let (names, _) = within(fields, SEQUENCE)?;
    Ok(Summary {
        subject: subject(names)?,
        expires: time(&end)?,
    })
}

struct Element<'d> {
    tag: u8,
    content: &'d [u8],
    rest: &'d [u8],
}

fn element(data: &[u8]) -> Result<Element<'_>> {
    let broken = "the certificate is truncated";
    let [tag, length, rest @ ..] = data else {
        bail!(broken);
    };
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest
                .split_at_checked(usize::from(length & 0x7f))
                .context(broken)?;
            let length = digits
                .iter()
                .fold(0, |n, digit| n << 8 | usize::from(*digit));
            (length, rest)
        }
        _ => bail!("the certificate is not in DER"),
    };
    let (content, rest) = rest.split_at_checked(length).context(broken)?;
    Ok(Element {
        tag: *tag,
        content,
        rest,
    })
}

/// Returns the content of the first element, which must have this tag, and what follows it.
fn within(data: &[u8], tag: u8) -> Result<(&[u8], &[u8])> {
    let first = element(data)?;
    if first.tag != tag {
        bail!("the certificate has an unexpected structure");
    }
    Ok((first.content, first.rest))
}

fn subject(mut names: &[u8]) -> Result<String> {
    let mut parts = Vec::new();
    while !names.is_empty() {
        let name = element(names)?;
        names = name.rest;
        let (pair, _) = within(name.content, SEQUENCE)?;
        let (identifier, value) = within(pair, IDENTIFIER)?;
        let label = match identifier {
            [0x55, 4, 3] => "CN",
            [0x55, 4, 6] => "C",
            [0x55, 4, 7] => "L",
            [0x55, 4, 8] => "ST",
            [0x55, 4, 10] => "O",
            [0x55, 4, 11] => "OU",
            _ => continue,
        };
        let text = String::from_utf8_lossy(element(value)?.content).into_owned();
        let text = text.replace(char::is_control, "?");
        parts.push(format!("{label}={text}"));
    }
    Ok(parts.join(", "))
}

fn time(end: &Element<'_>) -> Result<String> {
    let text = String::from_utf8_lossy(end.content).into_owned();
    let text = match end.tag {
        // Two digits of the year: those from 50 on are of the last century.
        UTC_TIME if text.as_str() >= "50" => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        TIME => text,
        _ => bail!("the certificate has no end of its validity"),
    };
    let digits = text
        .strip_suffix('Z')
        .filter(|digits| digits.len() == 14 && digits.bytes().all(|digit| digit.is_ascii_digit()));
    let digits = digits.with_context(|| format!("{text:?} is no time"))?;
    let (date, time) = digits.split_at(8);
    let (year, day) = date.split_at(4);
    let (month, day) = day.split_at(2);
    let (hour, second) = time.split_at(2);
    let (minute, second) = second.split_at(2);
    Ok(format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(year: i32) -> String {
        let mut params = CertificateParams::new(vec!["vch-1".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "ACME");
        params.distinguished_name.push(DnType::CommonName, "vch-1");
        params.not_after = date_time_ymd(year, 2, 3);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn subject_and_end_are_read() {
        for (year, expires) in [
            (2031, "2031-02-03T00:00:00Z"),
            (2150, "2150-02-03T00:00:00Z"),
        ] {
            let both = certificate(year) + &certificate(2040);
            let found = summaries(&both).unwrap();
            assert_eq!(found.len(), 2);
            assert_eq!(found[0].subject, "O=ACME, CN=vch-1");
            assert_eq!(found[0].expires, expires);
        }
    }

    #[test]
    fn damaged_ones_are_refused() {
        let pem = certificate(2031);
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        for length in 0..der.len().min(200) {
            assert!(summary(&der[..length]).is_err(), "{length}");
        }
        let mut all = der.to_vec();
        for at in 0..all.len() {
            // Must not panic.
            all[at] ^= 0xff;
            let _ = summary(&all);
            all[at] ^= 0xff;
        }
    }
}
