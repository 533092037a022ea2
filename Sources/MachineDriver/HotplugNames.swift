/// Names in QEMU of disks and interfaces that have names of the user's: those may be longer than QEMU's and hold other
/// characters (QEMU, docs/system/qemu-block-drivers, "node-name" has at most 31 bytes).
enum HotplugNames {
    static func slot(_ number: Int) -> String { "slot\(number)" }
    static func interface(_ device: String) -> String { "nic-" + digest(device) }
    static func disk(_ name: String) -> String { "vol-" + digest(name) }

    /// FNV-1a of 64 bits (draft-eastlake-fnv).
    private static func digest(_ name: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16)
    }
}
