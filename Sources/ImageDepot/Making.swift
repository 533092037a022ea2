import ContentStore
import DiskImages
public import DriverKit
import FoundationEssentials
import ImageFormats
import LinuxHost
import Model
import OCI

extension ImageDepot: ImageMaker {
    public func makeImage(
        over base: String?, layer: PackedArchive?, at archive: String?, _ change: ImageChange
    ) async throws -> IncomingImage {
        let maker = LayeredImage(store: store, platform: try Platform(parsing: change.architecture))
        return try await guarded.sparing {
            var added: (Descriptor, diffID: ContentDigest)?
            if let layer, let archive {
                let descriptor = try await store.add(file: archive, mediaType: MediaType.layer)
                guard descriptor.digest.description == layer.digest, layer.digest == layer.plainDigest else {
                    throw EngineError(.conflict, "the layer \(archive) changed while it was stored")
                }
                added = (descriptor, descriptor.digest)
            }
            let image = try await maker.make(
                over: try base.map { try ContentDigest($0) }, layer: added,
                LayeredImage.Change(
                    config: change.config, author: change.author, comment: change.comment,
                    createdBy: change.createdBy, created: Self.time(change.createdAt)))
            return [incoming(image)]
        }[0]
    }

    public func assemble(config: [UInt8], layers: [AssembledLayer]) async throws -> IncomingImage {
        try await guarded.sparing {
            var descriptors: [Descriptor] = []
            for layer in layers {
                switch layer {
                case .stored(let known):
                    descriptors.append(
                        Descriptor(
                            mediaType: LayeredImage.neutral(known.mediaType), digest: try ContentDigest(known.digest),
                            size: known.size))
                case .tar(let path, let digest):
                    let stored = try await store.add(file: path, mediaType: MediaType.layer)
                    guard stored.digest.description == digest else {
                        throw EngineError(.invalidArgument, "the layer \(digest) is \(stored.digest)")
                    }
                    descriptors.append(stored)
                }
            }
            let configuration = try ImageConfiguration(parsing: config)
            let importer = ImageImporter(store: store, platform: configuration.platform)
            let manifest = try await importer.assemble(config: config, layers: descriptors)
            return [incoming(manifest)]
        }[0]
    }

    public func makeDiskImage(_ path: String, boot: DiskRoot.Boot, _ change: ImageChange) async throws -> IncomingImage
    {
        guard boot != .kernel else {
            throw EngineError(
                .unsupported, "the disk of a machine without a boot loader of its own cannot become a disk image",
                hint: "it was made of a root filesystem image; publish a container of that image instead")
        }
        let importer = ImageImporter(store: store, platform: try Platform(parsing: change.architecture))
        return try await guarded.sparing {
            let size = try await runBlocking { try Int64(Qcow2Header(path: path).virtualSize) }
            let image = try await importer.importDisk(
                path, isQcow2: true, virtualSize: size, firmware: boot == .uefi ? "uefi" : "bios")
            return [incoming(image)]
        }[0]
    }

    private static func time(_ seconds: Double) -> String {
        Date(timeIntervalSince1970: seconds).formatted(.iso8601)
    }
}
