//! Conversions between allocations and the endpoint's type for them.

use vim25::types::{ResourceAllocationInfo, SharesInfo, SharesLevel};

use crate::exec::{Allocation, Shares};

/// Converts an allocation to the endpoint's type.
pub(super) fn to_info(allocation: &Allocation) -> ResourceAllocationInfo {
    let (level, shares) = match allocation.shares {
        Shares::Low => (SharesLevel::Low, 0),
        Shares::Normal => (SharesLevel::Normal, 0),
        Shares::High => (SharesLevel::High, 0),
        Shares::Custom(shares) => (
            SharesLevel::Custom,
            i32::try_from(shares).unwrap_or(i32::MAX),
        ),
    };
    let amount = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
    ResourceAllocationInfo {
        reservation: Some(amount(allocation.reservation)),
        limit: Some(allocation.limit.map_or(-1, amount)),
        shares: Some(Box::new(SharesInfo { level, shares })),
        ..ResourceAllocationInfo::default()
    }
}

/// Reads an allocation of the endpoint; unreadable values become the defaults.
pub(super) fn from_info(info: Option<&ResourceAllocationInfo>) -> Allocation {
    let Some(info) = info else {
        return Allocation::new();
    };
    let shares = match info.shares.as_deref() {
        None => Shares::Normal,
        Some(shares) => match shares.level {
            SharesLevel::Low => Shares::Low,
            SharesLevel::High => Shares::High,
            SharesLevel::Custom => Shares::Custom(shares.shares.try_into().unwrap_or(0)),
            _ => Shares::Normal,
        },
    };
    let reservation = info.reservation.and_then(|amount| amount.try_into().ok());
    let allocation = Allocation::new()
        .shares(shares)
        .reservation(reservation.unwrap_or(0));
    // -1 means no limit.
    match info.limit.and_then(|limit| u64::try_from(limit).ok()) {
        Some(limit) => allocation.limit(limit),
        None => allocation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_is_read_as_it_was_written() {
        for allocation in [
            Allocation::new(),
            Allocation::new().shares(Shares::Low).limit(4000),
            Allocation::new().shares(Shares::High).reservation(500),
            Allocation::new().shares(Shares::Custom(163_840)),
        ] {
            assert_eq!(from_info(Some(&to_info(&allocation))), allocation);
        }
        assert_eq!(from_info(None), Allocation::new());
    }
}
