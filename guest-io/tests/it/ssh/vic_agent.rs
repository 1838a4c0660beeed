//! The SSH server of VIC's own agents, as far as it matters: its first line and the algorithms that it
//! offers. Its host key is an RSA key of 512 bits.

use std::error::Error as _;

use guest_io::ssh::PrivateKey;
use guest_io::ssh::client::{ConnectError, Connector};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::LIMIT;

/// The number of an SSH message that offers algorithms.
const KEXINIT: u8 = 20;

/// Returns the message with the algorithms that Go's SSH server offered, and these for host keys.
fn offer(host_keys: &str) -> Vec<u8> {
    let ciphers = "aes128-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr";
    let macs = "hmac-sha2-256-etm@openssh.com,hmac-sha2-256,hmac-sha1";
    let mut message = vec![KEXINIT];
    message.extend_from_slice(&[7; 16]);
    for names in [
        "curve25519-sha256@libssh.org,ecdh-sha2-nistp256,diffie-hellman-group14-sha1",
        host_keys,
        ciphers,
        ciphers,
        macs,
        macs,
        "none",
        "none",
        "",
        "",
    ] {
        let length = u32::try_from(names.len()).unwrap();
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(names.as_bytes());
    }
    message.extend_from_slice(&[0; 5]);
    // The padding fills the last block of 8 bytes, and has at least 4.
    let padding = 4 + (8 - (4 + 1 + message.len() + 4) % 8) % 8;
    let length = u32::try_from(1 + message.len() + padding).unwrap();
    let mut packet = length.to_be_bytes().to_vec();
    packet.push(u8::try_from(padding).unwrap());
    packet.extend_from_slice(&message);
    packet.resize(packet.len() + padding, 0);
    packet
}

/// Connects to a server that offers these host keys, and returns the reason why that fails.
async fn refused(host_keys: &str) -> String {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let offer = offer(host_keys);
    let agent = tokio::spawn(async move {
        far.write_all(b"SSH-2.0-VIC\r\n").await.unwrap();
        far.write_all(&offer).await.unwrap();
        let mut read = Vec::new();
        let _ = far.read_to_end(&mut read).await;
        read
    });
    let connector = Connector::new(PrivateKey::generate().unwrap()).without_handshake();
    let connecting = connector.connect(near, async |_| panic!("the key is not even read"));
    let error = timeout(LIMIT, connecting).await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectError::Ssh(_)), "{error:?}");
    let read = agent.await.unwrap();
    assert!(read.starts_with(b"SSH-2.0-VIC\r\n"));
    error.source().unwrap().to_string()
}

#[tokio::test]
async fn vics_own_agents_are_refused_because_of_their_rsa_key() {
    let reason = refused("ssh-rsa").await;
    assert!(reason.contains("ssh-rsa"), "{reason}");
}

#[tokio::test]
async fn the_reason_repeats_little_of_what_the_guest_sent() {
    let names = format!("\u{1b}[31m\nssh-rsa{}", ",x".repeat(1_000));
    let reason = refused(&names).await;
    assert!(reason.contains("ssh-rsa"), "{reason}");
    assert!(reason.len() <= 1024, "{} bytes", reason.len());
    assert!(!reason.contains(char::is_control), "{reason:?}");
}
