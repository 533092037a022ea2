import Archive
import LinuxHost
import Model
import Testing

@testable import DiskImages

@Suite struct VMDKDescriptorTests {
    private func descriptor(_ lines: String...) throws -> VMDKDescriptor {
        try VMDKDescriptor((["# Disk DescriptorFile", "version=1"] + lines).joined(separator: "\n"), name: "test")
    }

    @Test func extentsOfASplitDisk() throws {
        let disk = try descriptor(
            "parentCID = ffffffff", "RW 4192256 SPARSE \"box-s001.vmdk\"", "  RW 100 ZERO",
            "RDONLY 63 FLAT \"box flat.vmdk\" 0\r")
        #expect(disk.extents == ["box-s001.vmdk", "box flat.vmdk"])
        #expect(disk.size == (4_192_256 + 100 + 63) * 512)
    }

    @Test(arguments: [
        "parentCID=12345678", "ParentCID = 12345678", "parentFileNameHint=\"/etc/shadow\"", "parentcid=",
        "RW 1 FLAT \"\" 0", "RW 1 FLAT \"..\" 0", "RW 1 FLAT \"a/b\" 0", "RW 1 FLAT \"nbd:x\"", "RW 1 FLAT unquoted",
        "RW 1 FLAT \"open", "RW -1 FLAT \"x\"", "RW 1", "RW 1 VMFSRAW \"x\"", "rw 1 FLAT \"/x\"",
        "RW 18446744073709551615 FLAT \"x\"",
    ])
    func refused(_ line: String) {
        #expect(throws: EngineError.self) { try descriptor(line) }
    }

    @Test func tooManyExtents() {
        let lines = (0..<1100).map { "RW 1 FLAT \"x\($0)\"" }.joined(separator: "\n")
        #expect(throws: EngineError.self) { try descriptor(lines) }
    }
}

@Suite struct OVFDescriptionTests {
    private func description(_ text: String) throws -> OVFDescription {
        try OVFDescription(Array(text.utf8), name: "test")
    }

    @Test func namespacesQuotesAndEntities() throws {
        let parsed = try description(
            """
            <?xml version='1.0'?><!-- <File id="x" href="y"/> --><E xmlns:o='u'><o:File o:id='f' o:href="a &amp; b.vmdk"
            compression='gzip' /><![CDATA[<Disk fileRef="z"/>]]><Disk o:fileRef = "f" note="a > b"></Disk></E>
            """)
        #expect(parsed.disks == [.init(file: "a & b.vmdk", isCompressed: true)])
        #expect(!parsed.wantsUEFI)
    }

    @Test func entitiesAreNotUndoneTwice() throws {
        let parsed = try description("<File id='f' href='&amp;lt;.vmdk'/><Disk fileRef='f'/>")
        #expect(parsed.disks.first?.file == "&lt;.vmdk")
    }

    @Test func theOrderOfDisksIsThatOfTheDescription() throws {
        let parsed = try description(
            "<File id='1' href='a'/><File id='2' href='b'/><Disk fileRef='2'/><Disk fileRef='1'/><Disk capacity='9'/>")
        #expect(parsed.disks.map(\.file) == ["b", "a"])
    }

    @Test func longTextWithoutAnEnd() {
        for text in [String(repeating: "<", count: 200_000), "<a " + String(repeating: "x='", count: 100_000), "<!--"] {
            #expect(throws: EngineError.self) { try description(text) }
        }
    }
}

@Suite struct HeaderTests {
    /// A qcow2 header of version 3 with 64 KiB clusters and 1 GiB.
    private var qcow2: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4096)
        bytes.replaceSubrange(0..<8, with: Qcow2Header.magic + [0, 0, 0, 3])
        bytes[23] = 16
        bytes[28] = 0x40
        return bytes
    }

    @Test func aHeader() throws {
        let header = try Qcow2Header(qcow2, name: "test")
        #expect(header.virtualSize == 1 << 30)
        #expect(header.backingFile == nil)
        try header.checkStandsAlone(name: "test")
    }

    @Test(
        arguments: [
            (7, 1), (7, 4), (20, 1), (23, 8), (23, 30), (24, 0xff), (28, 0), (35, 1), (79, 2), (79, 4), (79, 32),
            (72, 1),
            (15, 200),
        ] as [(Int, UInt8)])
    func refused(_ offset: Int, _ value: UInt8) {
        var bytes = qcow2
        bytes[offset] = value
        #expect(throws: EngineError.self) { try Qcow2Header(bytes, name: "test").checkStandsAlone(name: "test") }
    }

    @Test func aBackingNameBeyondTheHeader() throws {
        var bytes = qcow2
        bytes.replaceSubrange(8..<16, with: [UInt8](repeating: 0xff, count: 8))
        bytes.replaceSubrange(16..<20, with: [0xff, 0xff, 0xff, 0xff])
        #expect(try Qcow2Header(bytes, name: "test").backingFile == "?")
        #expect(throws: EngineError.self) { try Qcow2Header(Array(bytes.prefix(60)), name: "test") }
    }

    @Test(arguments: [("    (12.50/100%)\r", 0.125), ("(1/100%)\r    (99.00/100%)", 0.99), ("(300/100%)", 1)])
    func progress(_ text: String, _ fraction: Double) { #expect(DiskImport.fraction(text) == fraction) }

    @Test func noProgress() {
        for text in ["", "hello", "(x/100%)", "(12"] { #expect(DiskImport.fraction(text) == nil) }
    }

    @Test func firmware() {
        var head = [UInt8](repeating: 0, count: 65536)
        #expect(!FirmwareGuess.needsUEFI(head))
        head.replaceSubrange(512..<520, with: Array("EFI PART".utf8))
        #expect(!FirmwareGuess.needsUEFI(head))
        head.replaceSubrange(1152..<1156, with: [0x28, 0x73, 0x2a, 0xc1])
        #expect(!FirmwareGuess.needsUEFI(head))
        let type: [UInt8] = [
            0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
        ]
        head.replaceSubrange(1152..<1168, with: type)
        #expect(FirmwareGuess.needsUEFI(head))
        // With code for a BIOS in the first sector it boots both ways.
        head[0] = 0xeb
        #expect(!FirmwareGuess.needsUEFI(head))
        #expect(!FirmwareGuess.needsUEFI([]))
    }
}
