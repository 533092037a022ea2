import ContentStore
import Foundation
import ImageFormats
import Model
import OCI
import Testing

@Suite struct ModuleAndDiskTests {
    let fixture = Fixture()

    @Test(arguments: [([1, 0, 0, 0] as [UInt8], "wasip1"), ([0x0d, 0, 1, 0], "wasip2")])
    func aModuleBecomesAnArtifact(version: [UInt8], os: String) async throws {
        let bytes = [0, 0x61, 0x73, 0x6d] + version + [1, 2, 3]
        let image = try #require(try await fixture.importer.importFile(fixture.write("m.wasm", bytes)).first?.image)
        #expect(image.content == .module)
        #expect(image.platform == Platform(os: os, architecture: "wasm"))
        #expect(image.layers.map(\.mediaType) == [MediaType.wasm])
        #expect(try await fixture.store.read(image.layers[0].digest) == bytes)
    }

    @Test func disksAreNotImportedAsArchives() async throws {
        let path = try fixture.write("x.vmdk", Array("KDMV".utf8) + [UInt8](repeating: 0, count: 1024))
        let error = await #expect(throws: EngineError.self) { try await fixture.importer.importFile(path) }
        #expect(error?.code == .unsupported)
        #expect(error?.message.contains("vmdk") == true)
    }

    /// The header of a qcow2 version 3 file.
    static func qcow2(backing: UInt8 = 0, incompatible: UInt8 = 0) -> [UInt8] {
        var head = [UInt8](repeating: 0, count: 512)
        head.replaceSubrange(0..<8, with: [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3])
        head[14] = backing
        head[23] = 16
        head[29] = 0x10
        head[79] = incompatible
        head[103] = 104
        return head
    }

    @Test func aDiskIsKeptWithHowItBoots() async throws {
        let path = try fixture.write("d.qcow2", Self.qcow2())
        let image = try await fixture.importer.importDisk(
            path, isQcow2: true, virtualSize: 1 << 20, firmware: "uefi", importedFrom: "vdi")
        #expect(image.content == .disk)
        #expect(image.disk?.firmware == "uefi" && image.disk?.virtualSize == 1 << 20)
        #expect(image.disk?.importedFrom == "vdi")
        #expect(try await fixture.store.image(image.manifest) == image)
    }

    @Test(arguments: [qcow2(backing: 1), qcow2(incompatible: 4), Array("not a disk".utf8)])
    func aDiskThatNamesAnotherFileIsRefused(bytes: [UInt8]) async throws {
        let path = try fixture.write("d.qcow2", bytes)
        await #expect(throws: EngineError.self) {
            try await fixture.importer.importDisk(path, isQcow2: true, virtualSize: 1, firmware: "bios")
        }
        #expect(try await fixture.store.list().isEmpty)
    }
}
