/// Names of images as people write and read them.
public enum ImageNames {
    /// A reference without what is understood anyway: `docker.io/library/alpine:latest` is `alpine`,
    /// `localhost/app:latest` is `app`. A fingerprint is shown by its first twelve digits.
    public static func short(_ reference: String) -> String {
        var text = Substring(reference)
        if text.utf8.count == 64, text.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }) {
            return String(text.prefix(12))
        }
        for prefix in ["docker.io/library/", "docker.io/", "localhost/"] where text.hasPrefix(prefix) {
            text = text.dropFirst(prefix.count)
            break
        }
        if text.hasSuffix(":latest") { text = text.dropLast(7) }
        return String(text)
    }

    /// Whether `text` can only be a path.
    public static func isPath(_ text: String) -> Bool {
        text.hasPrefix("/") || text.hasPrefix("./") || text.hasPrefix("../")
    }

    /// Whether `text` may name a file of an image: a path, or a name that ends as such files do.
    public static func looksLikeFile(_ text: String) -> Bool {
        let endings = [
            ".wasm", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tar.bz2", ".oci", ".qcow2", ".img",
            ".raw",
            ".vmdk", ".vdi", ".vhd", ".vhdx", ".ova", ".iso",
        ]
        return isPath(text) || endings.contains { text.lowercased().hasSuffix($0) }
    }
}
