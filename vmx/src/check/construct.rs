//! Constructs that readers disagree on, and the effect of each on every reader.
//!
//! The table lists what each program was observed to do with such a line.

use std::fmt;

use super::reader::Effect::{self, FailsAtPowerOn, Misreads, Notes, Refuses, Skips};
use super::reader::Reader::{
    self, Dissect, Gns3, Govmx, Guest, Libvirt, Packer, Proxmox, Vagrant, Veeam, VirtV2v, Vmware,
    XenOrchestra,
};

macro_rules! constructs {
    ($($(#[$doc:meta])* $name:ident $text:literal $(=> $remedy:literal)? [$($reader:ident $effect:ident,)*])*) => {
        /// A construct that readers disagree on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize))]
        #[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
        #[non_exhaustive]
        pub enum Construct {
            $($(#[$doc])* #[doc = concat!("Displayed as: ", $text, ".")] $name,)*
        }

        impl Construct {
            /// Returns the readers that are affected, and how.
            #[must_use]
            pub fn effects(self) -> &'static [(Reader, Effect)] {
                match self {
                    $(Self::$name => &[$(($reader, $effect)),*],)*
                }
            }
        }

        impl Construct {
            /// Returns what to do about the construct; `None` if it is best left unchanged.
            #[must_use]
            pub fn remedy(self) -> Option<&'static str> {
                match self {
                    $($(Self::$name => Some($remedy),)?)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for Construct {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $text,)*
                })
            }
        }
    };
}

constructs! {
    /// `a b = "x"`.
    BlankInName "a blank in a name" => "write the name without blanks" [
        Vmware Refuses, Libvirt Refuses, VirtV2v Skips, Proxmox Skips, Packer Misreads,
        Govmx Misreads, Vagrant Misreads, Dissect Misreads, Gns3 Misreads, XenOrchestra Misreads,
    ]
    /// `note`, `// note`, `; note`.
    NoEquals "a line without `=` that is not a comment" => "begin comments with `#`, and remove other lines" [
        Vmware Refuses, Libvirt Refuses, Govmx Refuses, VirtV2v Skips, Packer Skips,
        Vagrant Skips, Gns3 Skips, Proxmox Skips, Dissect Misreads, XenOrchestra Misreads,
    ]
    /// `= "x"`.
    NoName "a line without a name" => "give it a name, or remove the line" [
        Vmware Refuses, Libvirt Refuses,
    ]
    /// `a = two words`.
    BareWords "blanks in a value without quotes" => "put the value in quotes" [
        Vmware Refuses, Libvirt Refuses, VirtV2v Skips, XenOrchestra Misreads,
    ]
    /// `a = "x`.
    UnclosedQuote "a value without its closing quote" => "close the quote; if the last letters look wrong, the file was saved in another encoding" [
        Vmware Refuses, Libvirt Refuses, VirtV2v Skips, Packer Misreads, Govmx Misreads,
        Vagrant Misreads, Dissect Misreads, Gns3 Misreads, Proxmox Misreads, XenOrchestra Misreads,
    ]
    /// `a = "x"y"`.
    TextAfterQuote "text behind the closing quote" => "write a quote within a value as |22; put a comment behind `#`" [
        Vmware Refuses, Libvirt Refuses, VirtV2v Misreads, Packer Misreads, Govmx Misreads,
        Vagrant Misreads, Dissect Misreads, Gns3 Misreads, Proxmox Misreads, XenOrchestra Misreads,
    ]
    /// `a = "x";b = "y"`.
    Semicolon "two entries on a line, separated by `;`" => "give each entry a line of its own" [
        Vmware Refuses, Govmx Refuses, Libvirt Misreads, VirtV2v Misreads, Packer Misreads,
        Vagrant Misreads, Dissect Misreads, Gns3 Misreads, Proxmox Misreads, XenOrchestra Misreads,
    ]
    /// `a = "1"` and later `a = "2"`; VMware uses the first.
    Duplicate "an entry whose name was defined before" => "remove the later ones: `set --remove-duplicates`" [
        Vmware Refuses, Packer Misreads, Govmx Misreads, Vagrant Misreads, Dissect Misreads,
        Gns3 Misreads, Proxmox Misreads, XenOrchestra Misreads,
    ]
    /// `.encoding = "nonsense"`, or two declarations that contradict each other.
    BadEncoding "a character encoding that is unknown or declared twice" => "declare the encoding that the file is in, once, by a name that VMware knows" [
        Vmware Refuses, Libvirt Refuses,
    ]
    /// Bytes that are not valid in the charset.
    Undecodable "a value that is not valid in the encoding of the file" => "declare the encoding that the file is in, or write the value again" [
        Vmware Refuses, Libvirt Refuses,
    ]
    /// Bytes that are not UTF-8, in a file without `.encoding`.
    HostText "a value that is not UTF-8 and no .encoding: how it is read depends on the host's own encoding" => "give the encoding that the file is in: `set --encoding NAME --transcode UTF-8`" [
        Libvirt Refuses, Vmware Notes,
    ]
    /// `a = x`.
    BareValue "a value without quotes" => "put the value in quotes" [
        Libvirt Refuses, VirtV2v Skips, XenOrchestra Misreads,
    ]
    /// `a =`.
    NoValue "an entry without a value" => "write it as `\"\"`, or remove the line" [
        Libvirt Refuses, VirtV2v Skips, Proxmox Skips, XenOrchestra Misreads,
    ]
    /// `guestinfo./repo`, `"a"`.
    OddName "a name with other characters than letters, digits, `_.:-`" => "keep such names out of files that libvirt reads" [
        Libvirt Refuses,
    ]
    /// The keys that VIC writes.
    SlashInName "a name with `/` or `|`" => "keep such names out of machines that Veeam backs up" [
        Veeam Refuses,
    ]
    /// EF BB BF at the start.
    ByteOrderMark "a byte order mark" => "remove it and declare .encoding" [
        Libvirt Refuses, VirtV2v Misreads, Packer Misreads, Govmx Misreads, Vagrant Misreads,
        Dissect Misreads, Gns3 Misreads, Proxmox Misreads, XenOrchestra Misreads,
    ]
    /// A charset name that libxml2 does not know.
    ForeignEncodingName "an encoding that only VMware calls by this name" => "convert the file to UTF-8: `set --transcode UTF-8`" [
        Libvirt Refuses, Gns3 Misreads,
    ]
    /// `.encoding` below a shebang line, in a file with non-ASCII text.
    LateEncoding "an .encoding below the first line, where it is not looked for" => "move it to the first line, or convert the file to UTF-8" [
        Gns3 Misreads,
    ]
    /// Text in a charset other than UTF-8.
    ForeignText "text in another encoding than UTF-8" => "convert the file to UTF-8: `set --transcode UTF-8`" [
        VirtV2v Misreads, Packer Misreads, Govmx Misreads, Vagrant Misreads, Dissect Misreads,
        Proxmox Misreads, XenOrchestra Misreads,
    ]
    /// `displayName = "100%"`, `annotation = "50|"`.
    PercentOrPipe "`%` or a lone `|` in displayName or annotation" => "remove the character" [
        Libvirt Refuses,
    ]
    /// `a = "x" # note`.
    TrailingComment "a comment behind a value" => "put the comment on a line of its own" [
        VirtV2v Skips, Packer Misreads, Govmx Misreads, Vagrant Misreads, Dissect Misreads,
        Gns3 Misreads, Proxmox Misreads, XenOrchestra Misreads,
    ]
    /// `a = "x|22"`.
    Escape "an escape `|XX`" [
        Libvirt Misreads, Packer Misreads, Govmx Misreads, Vagrant Misreads, Dissect Misreads,
        Gns3 Misreads, Proxmox Misreads, XenOrchestra Misreads,
    ]
    /// An escape in displayName or annotation, where libvirt decodes escapes.
    EscapeOfText "an escape `|XX` in displayName or annotation" [
        Packer Misreads, Govmx Misreads, Vagrant Misreads, Dissect Misreads, Gns3 Misreads,
        Proxmox Misreads, XenOrchestra Misreads,
    ]
    /// `a = "x||22"`.
    PipeBeforeEscape "`|` right before what looks like an escape" => "write the first `|` as |7C" [
        VirtV2v Misreads,
    ]
    /// `a = "x|00y"`.
    EscapedNul "an escaped NUL, which ends the value" => "remove the NUL and what follows it" [
        Vmware Misreads, VirtV2v Misreads,
    ]
    /// A NUL byte.
    Nul "a NUL byte, which ends the line" => "remove the NUL and what follows it" [
        Vmware Misreads,
    ]
    /// `a = 'x'`.
    Apostrophes "a value in apostrophes" => "put the value in quotes" [
        VirtV2v Skips, Libvirt Misreads, Govmx Misreads, Proxmox Misreads, XenOrchestra Misreads,
    ]
    /// `a = "x=y"`.
    EqualsInValue "`=` in a value" [
        Govmx Refuses,
    ]
    /// `a = "x\n"`.
    Backslash "a backslash in a value" [
        Govmx Misreads,
    ]
    /// ` a = "x"`.
    LeadingBlank "a blank before a name" => "remove the blank" [
        VirtV2v Skips, Packer Misreads, XenOrchestra Misreads,
    ]
    /// `a = "x"  `.
    TrailingBlank "a blank behind a value" => "remove the blank" [
        VirtV2v Skips, XenOrchestra Misreads,
    ]
    /// `a="x"`.
    OddSpacing "other than one space on either side of `=`" => "write one space on either side" [
        XenOrchestra Misreads,
    ]
    /// A tab after `=`.
    TabBeforeValue "a tab before a value" => "write a space" [
        Dissect Misreads, Gns3 Misreads,
    ]
    /// CR LF.
    Crlf "a line that ends in CR LF" [
        XenOrchestra Misreads,
    ]
    /// CR.
    LoneCr "a line that ends in CR alone" => "end lines in LF" [
        Govmx Refuses, VirtV2v Misreads, Packer Misreads, Dissect Misreads, Proxmox Misreads,
        XenOrchestra Misreads,
    ]
    /// `#a = "x"`.
    CommentedEntry "a comment that looks like an entry" => "remove the line, or write it without `=`" [
        Packer Misreads, Gns3 Misreads, Proxmox Misreads, XenOrchestra Misreads,
    ]
    /// `  #a = "x"`.
    IndentedComment "a comment behind blanks that looks like an entry" => "remove the line, or write it without `=`" [
        Packer Misreads, Govmx Misreads, Vagrant Misreads, Gns3 Misreads, Proxmox Misreads,
        XenOrchestra Misreads,
    ]
    /// `guestOS` and `guestOS.detailed.data`.
    LeafAndBranch "a name that is also the beginning of other names, before a dot" [
        VirtV2v Skips, XenOrchestra Skips,
    ]
    /// `.foo = "x"`.
    Metavariable "a name that begins with `.`, which is dropped" => "remove the line" [
        Vmware Skips, XenOrchestra Skips,
    ]
    /// `memsize`, for a reader that looks for `memSize`.
    OtherCase "memSize in another spelling" => "spell it memSize" [
        Proxmox Skips,
    ]
    /// `scsi0.present = "yes"`.
    OddBoolean "a `present` that is neither true nor false" => "write TRUE or FALSE" [
        Libvirt Refuses, VirtV2v Misreads,
    ]
    /// A setting whose value is not of its type.
    WrongType "a setting that is not of its type, read as FALSE, 0 or the default" => "write a value of the type that the view of the setting documents" [
        Vmware Misreads,
    ]
    /// `config.version` or `virtualHW.version` is missing.
    NoVersion "no config.version or virtualHW.version" => "set both: config.version is 8" [
        Vmware Refuses, Libvirt Refuses,
    ]
    /// `config.version` is not 8, or `virtualHW.version` is below 4.
    OldVersion "a config.version other than 8, or a virtualHW.version below 4" => "let the product upgrade the machine" [
        Libvirt Refuses,
    ]
    /// `guestOS` is missing.
    NoGuestOs "no guestOS" => "set guestOS" [
        Vmware FailsAtPowerOn,
    ]
    /// `guestOS = "dos 397"`.
    UnknownGuestOs "a guestOS that VMware does not know" => "set guestOS to a name that VMware knows, such as other-64" [
        Vmware FailsAtPowerOn,
    ]
    /// `memSize = "0"`.
    MemoryOutOfRange "a memSize out of range" => "set 4 to 25165824, in MB" [
        Vmware FailsAtPowerOn,
    ]
    /// `numvcpus = "0"`.
    CpusOutOfRange "processors out of range, or not a multiple of cpuid.coresPerSocket" => "set numvcpus to a multiple of cpuid.coresPerSocket, at most 768" [
        Vmware FailsAtPowerOn,
    ]
    /// `scsi0:0.fileName = ""`, `scsi0:0.fileName = "a.iso"`.
    ImpossibleFile "a disk or CD image whose file cannot have this name" => "name a .vmdk for a disk and an image for a CD, or set `present` to FALSE" [
        Vmware FailsAtPowerOn,
    ]
    /// `ethernet0.address = "00:0c:29:00:00:01"` with `addressType = "static"`.
    StaticAddressOutOfRange "a static address outside 00:50:56:00:00:00 to 00:50:56:3f:ff:ff" => "choose one in that range, or set checkMACAddress to FALSE" [
        Vmware FailsAtPowerOn,
    ]
    /// `encryption.data` without `encryption.keySafe`.
    NoKeySafe "encrypted settings without encryption.keySafe, which holds their key" => "restore encryption.keySafe from a copy of the file" [
        Vmware Refuses,
    ]
    /// `memSize` is not a multiple of 4.
    OddMemory "a memSize that is not a multiple of 4" => "set a multiple of 4" [
        Libvirt Refuses,
    ]
    /// `firmware = "EFI"`.
    OddFirmware "UEFI firmware in another spelling than `efi`" => "spell it efi" [
        VirtV2v Misreads,
    ]
    /// `ide0:0` without `deviceType = "ata-hardDisk"`.
    PlainIdeDisk "a disk on IDE whose deviceType is not ata-hardDisk" => "set the deviceType to ata-hardDisk" [
        VirtV2v Skips,
    ]
    /// `sata0:1.deviceType = "cdrom-image"`.
    CdromBesideIde "a CD drive that is not on IDE" => "add the drive again after the import" [
        VirtV2v Skips,
    ]
    /// The file is larger than `tools.setInfo.sizeLimit`.
    TooLarge "the file is larger than tools.setInfo.sizeLimit, 1 MiB by default: the guest can write nothing" => "raise tools.setInfo.sizeLimit, or remove guestinfo keys" [
        Guest Refuses,
    ]
    /// A `guestinfo.` value of more than 64 KiB.
    LongValue "a guestinfo value of more than 64 KiB, the size of a guest's message" => "split the value" [
        Guest Skips,
    ]
    /// A key of 1,000 bytes or more.
    LongName "a name of 1,000 bytes or more, beyond what VMware is known to build" => "choose a shorter name" [
        Vmware Notes,
    ]
    /// A device or its controller is not present.
    Inert "settings of a device that is not present" => "set `present` of the device and its controller to TRUE, or remove the settings" [
        Vmware Notes,
    ]
    /// The entry `encryption.data`.
    Encrypted "the settings are encrypted: without the password only the few outside can be read" => "remove the encryption in the product first" [
        Vmware Notes, Libvirt Misreads, VirtV2v Misreads, Packer Misreads, Govmx Misreads,
        Vagrant Misreads, Gns3 Misreads, Proxmox Misreads, XenOrchestra Misreads,
    ]
    /// No `.encoding`.
    NoEncoding "no .encoding: non-ASCII text would be read with the host's own encoding" => "declare .encoding" [
        Vmware Notes,
    ]
    /// Names with capital letters, or comments.
    Rewritten "names with capital letters, or comments, which are lost when it writes the file" [
        Packer Notes, Vagrant Notes,
    ]
}
