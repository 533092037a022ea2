import Model

/// Which kind of instance an image becomes.
enum KindChoice {
    /// The kind asked for, if the image can become it; else what the image is: a module, a disk, a userland with its
    /// own init, or a program.
    static func choose(asked: InstanceKind?, image: ImageRecord) throws -> InstanceKind {
        let possible = kinds(of: image.content)
        guard let asked else {
            switch image.content {
            case .module: return .module
            case .disk: return .machine
            case .rootFilesystem: return image.hasInit ? .system : .application
            }
        }
        guard possible.contains(asked) else {
            throw EngineError(
                .invalidArgument,
                "an image whose content is a \(image.content.rawValue) cannot run as \(asked.rawValue)",
                hint: "it can run as: " + possible.map(\.rawValue).joined(separator: ", "))
        }
        return asked
    }

    /// The kinds an image of this content can become.
    static func kinds(of content: ImageContent) -> [InstanceKind] {
        switch content {
        case .rootFilesystem: [.application, .system, .machine]
        case .disk: [.machine]
        case .module: [.module]
        }
    }

    /// Whether a program is an init that runs a whole userland.
    static func isInit(_ program: String?) -> Bool {
        [
            "/sbin/init", "/usr/sbin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd", "/init", "systemd",
            "init",
            "/sbin/openrc-init",
        ].contains(program ?? "")
    }
}
