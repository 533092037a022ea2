import Archive
import Glibc
import LinuxHost
import Model
import Testing

@Suite struct ImageFileKindTests {
    private func kind(_ bytes: [UInt8]) throws -> ImageFileKind {
        let tree = try Unpacked()
        try tree.base.writeFile("file", bytes, durable: false)
        return try ImageFileKind.detect(path: "\(tree.base.path)/file")
    }

    private func tar(_ names: [String]) -> [UInt8] {
        var tar = RawTar()
        for name in names { name.hasSuffix("/") ? tar.folder(name) : tar.file(name) }
        return tar.ended
    }

    @Test func wasm() throws {
        let magic: [UInt8] = [0x00, 0x61, 0x73, 0x6d]
        #expect(try kind(magic + [1, 0, 0, 0]).content == .wasmModule)
        #expect(try kind(magic + [0x0d, 0, 1, 0]).content == .wasmComponent)
        #expect(throws: EngineError.self) { try kind(magic + [9, 0, 0, 0]) }
    }

    @Test func tars() throws {
        let digits = String(repeating: "a1", count: 32)
        #expect(try kind(tar(["blobs/", "blobs/sha256/\(digits)", "index.json", "oci-layout"])).content == .ociLayout)
        #expect(try kind(tar(["oci-layout", "manifest.json"])).content == .ociLayout)
        #expect(
            try kind(tar(["\(digits)/", "\(digits)/layer.tar", "\(digits).json", "manifest.json", "repositories"]))
                .content == .dockerArchive)
        #expect(try kind(tar(["./", "./etc/", "./etc/passwd"])).content == .rootFilesystem)
        #expect(try kind(tar(["bin/", "manifest.json"])).content == .rootFilesystem)
        #expect(try kind(tar(["box.ovf", "box.vmdk"])).content == .ova)
    }

    @Test func disks() throws {
        var raw = [UInt8](repeating: 0, count: 1 << 16)
        raw[510] = 0x55
        raw[511] = 0xaa
        #expect(throws: EngineError.self) { try kind(raw) }
        raw[450] = 0x83
        #expect(try kind(raw).content == .disk(.raw))
        var footer = raw
        footer.replaceSubrange((footer.count - 512)..<(footer.count - 504), with: Array("conectix".utf8))
        #expect(try kind(footer).content == .disk(.vpc))
        #expect(try kind([0x51, 0x46, 0x49, 0xfb] + raw).content == .disk(.qcow2))
        #expect(try kind(Array("KDMV".utf8) + raw).content == .disk(.vmdk))
        #expect(try kind(Array("vhdxfile".utf8) + raw).content == .disk(.vhdx))
    }

    @Test func otherFiles() throws {
        for bytes in [[], [1, 2, 3], [UInt8](repeating: 0, count: 4096), Array("#!/bin/sh\n".utf8)] as [[UInt8]] {
            let error = #expect(throws: EngineError.self) { try kind(bytes) }
            #expect(error?.code == .invalidArgument)
        }
        #expect(throws: EngineError.self) { try ImageFileKind.detect(path: "/dev/null") }
        #expect(throws: EngineError.self) { try ImageFileKind.detect(path: "/tmp") }
    }
}
