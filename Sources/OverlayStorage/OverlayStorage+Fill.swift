import Archive
public import DriverKit
import Glibc
import LinuxHost
import Model

extension OverlayStorage: VolumeFiller {
    public func fill(_ folder: String, from path: String, layers: [String], staging: String) async throws -> Bool {
        let area = try RootDirectory(path: staging)
        let name = "fill-" + String(UInt64.random(in: .min ... .max), radix: 16)
        try area.makeDirectories("\(name)/merged", mode: 0o700)
        let result: Result<Bool, any Error>
        do {
            result = .success(
                try await copy(path, of: layers, to: folder, work: area.subdirectory(name), at: "\(area.path)/\(name)"))
        } catch {
            result = .failure(error)
        }
        // The mount of the layers is gone with the last descriptor in it.
        try await runBlocking { try area.removeTree(name) }
        return try result.get()
    }

    private func copy(_ path: String, of layers: [String], to folder: String, work: RootDirectory, at workPath: String)
        async throws -> Bool
    {
        let image = try await LayerView.open(lowerNames(layers), of: layersRoot, at: "\(workPath)/merged")
        let source: RootDirectory
        do { source = try image.subdirectory(path) } catch let error as EngineError
            where [ENOENT, ENOTDIR].contains(error.systemErrorNumber)
        {
            return false
        }
        guard let status = try source.status() else { return false }
        let target = try RootDirectory(path: folder)
        do {
            try target.removeContents()
            _ = try await TreePacker.pack(
                source, to: work.createFile("tar", mode: 0o600), named: "the content of \(path)",
                options: PackOptions(compression: .none, translatesWhiteouts: false))
            _ = try await TreeUnpacker.unpack(
                work.open("tar", O_RDONLY), named: "the content of \(path)", into: target,
                options: UnpackOptions(whiteouts: .ordinary, limits: limits))
            guard fchown(target.descriptor, status.user, status.group) == 0,
                fchmod(target.descriptor, status.permissions) == 0
            else { throw EngineError.system(errno, "set the owner of \(folder)") }
        } catch {
            try target.removeContents()
            throw error
        }
        return true
    }
}
