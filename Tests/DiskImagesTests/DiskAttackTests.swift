import Archive
import DiskImages
import Glibc
import LinuxHost
import Model
import Testing

/// Disks that are made to read the host's files or to use it up.
@Suite(.enabled(if: canImport, "needs root, qemu-img and setpriv"))
struct DiskAttackTests {
    @Test func qcow2OverAFileOfTheHost() async throws {
        try await ImportFolder.with { folder in
            try await folder.qemuImg(
                "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", "\(folder.path)/evil", "1M")
            let error = try #require(try await folder.refusal("evil"))
            #expect(error.code == .invalidArgument)
            #expect(error.message.contains("/etc/shadow"))
        }
    }

    @Test func qcow2WithItsDataInAFileOfTheHost() async throws {
        try await ImportFolder.with { folder in
            try await folder.qemuImg(
                "create", "-q", "-f", "qcow2", "-o", "data_file=\(folder.path)/data,data_file_raw=on",
                "\(folder.path)/evil", "1M")
            let error = try #require(try await folder.refusal("evil"))
            #expect(error.message.contains("another file"))
        }
    }

    /// A guest that wrote a qcow2 header into its raw disk: told to be raw, it stays raw.
    @Test func aRawDiskWithAForeignHeader() async throws {
        try await ImportFolder.with { folder in
            let raw = try folder.rawDisk()
            try await folder.qemuImg(
                "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", "\(folder.path)/header", "1M")
            try folder.patch("disk.raw", at: 0, try folder.root.readFile("header").prefix(4096).map { $0 })
            let disk = try await folder.imports("disk.raw", as: raw, format: .raw)
            #expect(disk.virtualSize == 8 << 20)
            #expect(try Qcow2Header(path: disk.path).backingFile == nil)
            try folder.root.removeFile("result.qcow2")
            // Not told, its magic counts, and what it names is refused.
            #expect(try await folder.refusal("disk.raw")?.message.contains("/etc/shadow") == true)
        }
    }

    @Test(arguments: [
        "RW 2048 FLAT \"/etc/shadow\" 0", "RW 2048 FLAT \"../outside\" 0", "RW 2048 SPARSE \"json:{}\"",
        "RW 2048 VMFSRDM \"x\"", "RW 99999999999999999 FLAT \"x\" 0", "RW 2048 FLAT \"missing\" 0",
        "RW 2048 FLAT \"link\" 0", "RW 2048 FLAT \"folder\" 0", "RW x FLAT \"disk.raw\" 0",
    ])
    func vmdkDescriptionsThatLeadElsewhere(_ extent: String) async throws {
        try await ImportFolder.with { folder in
            _ = try folder.rawDisk()
            try folder.root.makeSymbolicLink("link", target: "/etc/shadow")
            try folder.root.makeDirectory("folder")
            try folder.root.writeFile(
                "evil",
                Array(
                    """
                    # Disk DescriptorFile
                    version=1
                    CID=12345678
                    parentCID=ffffffff
                    createType="monolithicFlat"
                    \(extent)
                    """.utf8))
            #expect(try await folder.refusal("evil") != nil)
        }
    }

    @Test func vmdkWithAParent() async throws {
        try await ImportFolder.with { folder in
            let raw = try folder.rawDisk()
            try await folder.qemuImg("convert", "-f", "raw", "-O", "vmdk", raw, "\(folder.path)/base.vmdk")
            try await folder.qemuImg(
                "create", "-q", "-f", "vmdk", "-F", "vmdk", "-b", "\(folder.path)/base.vmdk", "\(folder.path)/child")
            let error = try #require(try await folder.refusal("child"))
            #expect(error.message.contains("lies over another disk"))
        }
    }

    @Test func vmdkWhoseDescriptionInsideCounts() async throws {
        try await ImportFolder.with { folder in
            let raw = try folder.rawDisk()
            try await folder.qemuImg("convert", "-f", "raw", "-O", "vmdk", raw, "\(folder.path)/evil")
            try folder.patch("evil", at: 12, [UInt8](repeating: 0, count: 8))
            #expect(try await folder.refusal("evil")?.code == .invalidArgument)
        }
    }

    @Test func sizesThatNoDiskHas() async throws {
        try await ImportFolder.with { folder in
            let raw = try folder.rawDisk()
            try await folder.qemuImg("convert", "-f", "raw", "-O", "qcow2", raw, "\(folder.path)/qcow2")
            try folder.patch("qcow2", at: 24, [0x80, 0, 0, 0, 0, 0, 0, 0])
            #expect(try await folder.refusal("qcow2")?.code == .resourceExhausted)
            try await folder.qemuImg("convert", "-f", "raw", "-O", "vmdk", raw, "\(folder.path)/vmdk")
            try folder.patch("vmdk", at: 12, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])
            #expect(try await folder.refusal("vmdk")?.code == .resourceExhausted)
            try await folder.qemuImg("convert", "-f", "raw", "-O", "vdi", raw, "\(folder.path)/vdi")
            try folder.patch("vdi", at: 368, [0, 0, 0, 0, 0, 0, 0, 0x7f])
            #expect(try await folder.refusal("vdi") != nil)
        }
    }

    @Test(arguments: ["vhdx", "vdi", "qcow2", "vmdk", "vpc"]) func cutOff(_ format: String) async throws {
        try await ImportFolder.with { folder in
            let raw = try folder.rawDisk()
            try await folder.qemuImg("convert", "-f", "raw", "-O", format, raw, "\(folder.path)/whole")
            let whole = try folder.root.readFile("whole", limit: 64 << 20)
            for size in [1024, whole.count / 2, whole.count - 65536] {
                try folder.root.writeFile("cut", whole.prefix(size), durable: false)
                let error = try #require(try await folder.refusal("cut"), "cut after \(size) of \(whole.count) bytes")
                #expect([.invalidArgument, .resourceExhausted].contains(error.code))
            }
        }
    }

    @Test func damagedTables() async throws {
        try await ImportFolder.with { folder in
            let raw = try folder.rawDisk()
            try await folder.qemuImg("convert", "-f", "raw", "-O", "qcow2", raw, "\(folder.path)/evil")
            // The offset of the L1 table points far beyond the file.
            try folder.patch("evil", at: 40, [0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0])
            #expect(try await folder.refusal("evil") != nil)
        }
    }

    @Test(arguments: [
        "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><Envelope/>",
        "<File id=\"f\" href=\"../../etc/shadow\"/><Disk fileRef=\"f\"/>",
        "<File id=\"f\" href=\"/etc/shadow\"/><Disk fileRef=\"f\"/>",
        "<File id=\"f\" href=\"http://example.com/x\"/><Disk fileRef=\"f\"/>",
        "<File id=\"f\" href=\"disk.vmdk\"/><Disk fileRef=\"g\"/>",
        "<File id=\"f\" href=\"disk.vmdk\"/><Disk fileRef=\"f\" parentRef=\"g\"/>",
        "<File id=\"f\" href=\"missing.vmdk\"/><Disk fileRef=\"f\"/>", "<Envelope/>", "<File id=\"f", "",
    ])
    func ovaDescriptions(_ text: String) async throws {
        try await ImportFolder.with { folder in
            try folder.tar("evil.ova", [("x.ovf", Array(text.utf8)), ("disk.vmdk", [1, 2, 3])])
            let error = try #require(try await folder.refusal("evil.ova"))
            #expect([.invalidArgument, .unsupported].contains(error.code))
        }
    }

    @Test func ovaMembersThatClimb() async throws {
        try await ImportFolder.with { folder in
            try folder.tar(
                "evil.ova",
                [
                    ("x.ovf", Array("<File id=\"f\" href=\"disk.vmdk\"/><Disk fileRef=\"f\"/>".utf8)),
                    ("../disk.vmdk", [1]), ("a/disk.vmdk", [1]),
                ])
            #expect(try await folder.refusal("evil.ova")?.message.contains("lacks its disk") == true)
        }
    }

    @Test func whatIsNoDisk() async throws {
        try await ImportFolder.with { folder in
            try folder.root.writeFile("text", Array("hello".utf8))
            try folder.root.writeFile("empty", [])
            try folder.root.makeNode("pipe", .fifo)
            for name in ["text", "empty", "pipe", "missing"] { #expect(try await folder.refusal(name) != nil) }
            #expect(try await folder.refusal("empty", format: .raw) != nil)
            #expect(try await folder.refusal("pipe", format: .raw) != nil)
        }
    }
}
