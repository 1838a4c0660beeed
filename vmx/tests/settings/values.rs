//! Values of every type used by settings, made from one input.

use vmx::Tristate;
use vmx::view::{
    AddressType, CardModel, ConnectionType, ControllerModel, CpuidMask, CpuidRegisters, DiskMode,
    DiskSharing, DriveType, EndPoint, Firmware, LatencySensitivity, Limit, MacAddress,
    PassthroughModel, PortType, PowerType, ProductCompatibility, SasWwid, SharedBus, Shares,
    SoundModel, ToolsUpgrade, UsbDeviceType, Uuid, UuidAction,
};

/// The input for a value and its place; each setting uses the part that it needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) text: &'a str,
    pub(crate) number: i64,
    pub(crate) bus: u8,
    pub(crate) unit: u8,
}

/// A value that can be made from the input.
pub(super) trait Pick: Sized {
    fn pick(input: Input<'_>) -> Self;
}

/// The result of a getter: a value or an optional value.
pub(super) trait Holds<T> {
    fn holds(&self, value: &T) -> bool;
}

impl<T: PartialEq> Holds<T> for T {
    fn holds(&self, value: &T) -> bool {
        self == value
    }
}

impl<T: PartialEq> Holds<T> for Option<T> {
    fn holds(&self, value: &T) -> bool {
        self.as_ref() == Some(value)
    }
}

macro_rules! picks {
    ($($type:ty: |$input:ident| $value:expr;)*) => {$(
        impl Pick for $type {
            fn pick($input: Input<'_>) -> Self {
                $value
            }
        }
    )*};
}

picks! {
    bool: |input| input.number % 2 == 0;
    u32: |input| input.number as u32;
    i32: |input| input.number as i32;
    u64: |input| input.number as u64;
    i64: |input| input.number;
    String: |input| input.text.into();
    Uuid: |input| {
        let half = input.number.to_be_bytes();
        Self::from_bytes(std::array::from_fn(|at| half[at % 8] ^ at as u8))
    };
    MacAddress: |input| {
        let bytes = input.number.to_be_bytes();
        Self::from_bytes(std::array::from_fn(|at| bytes[at]))
    };
    SasWwid: |input| Self::from_bytes(input.number.to_be_bytes());
    CpuidRegisters: |input| {
        let high = (input.number >> 32) as u32;
        Self { eax: input.number as u32, ebx: high, ecx: 0, edx: !high }
    };
    CpuidMask: |input| {
        let letters = b"01-HRTXhrtx".map(char::from);
        let letter = |at| letters[(input.number.rotate_left(at) as usize) % letters.len()];
        Self::parse(&(0..32).map(letter).collect::<String>()).expect("it has 32 letters")
    };
    Limit: |input| if input.number < 0 { Self::Unlimited } else { Self::Of(input.number as u64) };
    Shares: |input| match input.number % 4 {
        0 => Self::Low,
        1 => Self::Normal,
        2 => Self::High,
        _ => Self::Custom(input.number as u32),
    };
    Tristate: |input| match input.number % 3 {
        0 => Self::False,
        1 => Self::True,
        _ => Self::Default,
    };
}

macro_rules! words {
    ($($type:ident)*) => {
        picks! { $($type: |input| Self::from(input.text);)* }
    };
}

words! {
    AddressType CardModel ConnectionType ControllerModel DiskMode DiskSharing DriveType EndPoint Firmware LatencySensitivity PassthroughModel PortType PowerType ProductCompatibility SharedBus SoundModel ToolsUpgrade UsbDeviceType UuidAction
}
