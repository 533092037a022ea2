import Archive
import DiskImages
import Glibc
import LinuxHost
import Model
import Synchronization
import Testing

@Suite(.enabled(if: canImport, "needs root, qemu-img and setpriv"))
struct DiskImportTests {
    /// qemu-img's format, its options, and what the file must be told to be.
    static let formats: [(String, String, DiskFileFormat)] = [
        ("vmdk", "subformat=monolithicSparse", .vmdk), ("vmdk", "subformat=streamOptimized", .vmdk),
        ("vmdk", "subformat=twoGbMaxExtentSparse", .vmdk), ("vmdk", "subformat=monolithicFlat", .vmdk),
        ("vmdk", "subformat=twoGbMaxExtentFlat", .vmdk), ("vdi", "static=off", .vdi), ("vdi", "static=on", .vdi),
        ("vpc", "subformat=dynamic,force_size=on", .vpc), ("vpc", "subformat=fixed,force_size=on", .vpc),
        ("vhdx", "subformat=dynamic", .vhdx), ("vhdx", "subformat=fixed", .vhdx),
        ("qcow2", "compat=0.10", .qcow2), ("qcow2", "compat=1.1,extended_l2=on", .qcow2),
    ]

    @Test(arguments: formats) func everyFormat(_ format: String, _ options: String, _ told: DiskFileFormat) async throws
    {
        try await ImportFolder.with { folder in
            let raw = try folder.rawDisk()
            try await folder.qemuImg("convert", "-f", "raw", "-O", format, "-o", options, raw, "\(folder.path)/image")
            #expect(try ImageFileKind.detect(path: "\(folder.path)/image").content == .disk(told))
            let disk = try await folder.imports("image", as: raw)
            #expect(disk.format == told)
            #expect(disk.virtualSize == 8 << 20)
            #expect(!disk.needsUEFI)
            let status = try #require(try folder.root.status("result.qcow2"))
            #expect(status.user == 0 && status.permissions == 0o444)
        }
    }

    @Test func rawAndCompressedRaw() async throws {
        try await ImportFolder.with { folder in
            let raw = try folder.rawDisk()
            let disk = try await folder.imports("disk.raw", as: raw)
            #expect(disk.format == .raw)
            try folder.root.removeFile("result.qcow2")
            try await ProcessRunner.check("xz", ["-k", "-1", raw])
            #expect(try ImageFileKind.detect(path: raw + ".xz").isCompressed)
            #expect(try await folder.imports("disk.raw.xz", as: raw).format == .raw)
        }
    }

    @Test func filesThatOnlyTheirOwnerMayRead() async throws {
        try await ImportFolder.with { folder in
            let raw = try folder.rawDisk()
            try folder.root.setPermissions("disk.raw", 0o600)
            let disk = try await folder.imports("disk.raw", as: raw)
            #expect(disk.virtualSize == 8 << 20)
        }
    }

    @Test func progressGoesToOne() async throws {
        try await ImportFolder.with { folder in
            _ = try folder.rawDisk()
            let seen = Mutex<[Double]>([])
            _ = try await DiskImport().convert("\(folder.path)/disk.raw", to: "\(folder.path)/result.qcow2") { value in
                seen.withLock { $0.append(value) }
            }
            #expect(seen.withLock { $0.last } == 1)
        }
    }

    @Test func anOVA() async throws {
        try await ImportFolder.with { folder in
            let raw = try folder.rawDisk()
            try await folder.qemuImg(
                "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw,
                "\(folder.path)/box-disk1.vmdk")
            let description = """
                <?xml version="1.0"?><!-- <!DOCTYPE x> in a comment -->
                <ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:vmw="http://www.vmware.com/schema/ovf">
                <References><File ovf:href="box-disk1.vmdk" ovf:id="file1" ovf:size="1"/>
                <File ovf:id='file2' ovf:href='data&amp;more.vmdk'/></References>
                <DiskSection><Info>a > b</Info><Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:capacity="8"/>
                <Disk ovf:diskId="vmdisk2" ovf:fileRef="file2"/></DiskSection>
                <VirtualHardwareSection><vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
                </VirtualHardwareSection></ovf:Envelope>
                """
            try folder.tar(
                "box.ova",
                [
                    ("box.ovf", Array(description.utf8)), ("box.mf", [1]),
                    ("box-disk1.vmdk", try folder.root.readFile("box-disk1.vmdk", limit: 64 << 20)),
                ])
            #expect(try ImageFileKind.detect(path: "\(folder.path)/box.ova").content == .ova)
            let disk = try await folder.imports("box.ova", as: raw)
            #expect(disk.format == .vmdk)
            #expect(disk.otherDisks == ["data&more.vmdk"])
            #expect(disk.needsUEFI)
        }
    }

    @Test func aDiskThatBootsByUEFIOnly() async throws {
        try await ImportFolder.with { folder in
            _ = try folder.rawDisk()
            let systemPartition: [UInt8] = [
                0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
            ]
            try folder.patch("disk.raw", at: 0, [0])
            try folder.patch("disk.raw", at: 512, Array("EFI PART".utf8))
            try folder.patch("disk.raw", at: 1024, systemPartition)
            let disk = try await DiskImport().convert("\(folder.path)/disk.raw", to: "\(folder.path)/result.qcow2")
            #expect(disk.needsUEFI)
        }
    }

    @Test func anExistingResultIsNotTouched() async throws {
        try await ImportFolder.with { folder in
            _ = try folder.rawDisk()
            try folder.root.writeFile("result.qcow2", [7])
            let error = try await folder.refusal("disk.raw")
            #expect(error?.code == .alreadyExists)
            #expect(try folder.root.readFile("result.qcow2") == [7])
        }
    }
}
