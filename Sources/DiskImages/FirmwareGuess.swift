/// By which firmware a disk boots, told by its first mebibyte.
enum FirmwareGuess {
    private static let systemPartition: [UInt8] = [
        0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
    ]
    private static let biosBootPartition: [UInt8] = [
        0x48, 0x61, 0x68, 0x21, 0x49, 0x64, 0x6f, 0x6e, 0x74, 0x4e, 0x65, 0x65, 0x64, 0x45, 0x46, 0x49,
    ]

    /// True if the disk has an EFI system partition and nothing that a BIOS could start. Disks that can do both are
    /// started by the BIOS, which is quicker.
    static func needsUEFI(_ head: [UInt8]) -> Bool {
        guard head.count >= 34 * 512, head[512..<520].elementsEqual("EFI PART".utf8) else { return false }
        let types = stride(from: 1024, to: 34 * 512, by: 128).map { Array(head[$0..<$0 + 16]) }
        guard types.contains(systemPartition), !types.contains(biosBootPartition) else { return false }
        return head[..<440].allSatisfy { $0 == 0 }
    }
}
