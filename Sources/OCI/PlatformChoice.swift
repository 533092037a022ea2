internal import Model

extension ImageIndex {
    /// The entry that fits `wanted` best: the same system and processor, the newest variant that it can run.
    ///
    /// Entries that are no images (attestations, signatures) are passed over. An index whose only image entry states no
    /// platform is taken as it is. Where nothing fits, the one entry for WASM is taken.
    /// - Throws: `unsupported`, naming the platforms on offer.
    public func choose(_ wanted: Platform, what: String) throws -> Descriptor {
        let images = manifests.filter { entry in
            guard MediaType.isManifest(entry.mediaType) || MediaType.isIndex(entry.mediaType) else { return false }
            if entry.annotations?["vnd.docker.reference.type"] != nil { return false }
            return entry.platform?.os != "unknown"
        }
        if images.count == 1, images[0].platform == nil { return images[0] }
        let fitting = images.enumerated().compactMap { offset, entry in
            entry.platform?.distance(from: wanted).map { (distance: $0, offset: offset, entry: entry) }
        }
        if let best = fitting.min(by: { ($0.distance, $0.offset) < ($1.distance, $1.offset) }) { return best.entry }
        // A WASM module runs on every host.
        let modules = images.filter { $0.platform?.architecture == "wasm" }
        if modules.count == 1 { return modules[0] }
        let offered = Set(images.compactMap { $0.platform?.description }).sorted()
        throw EngineError(
            .unsupported, "\(what) has no image for \(wanted)",
            hint: offered.isEmpty ? nil : "it has: " + offered.prefix(20).joined(separator: ", "))
    }
}
