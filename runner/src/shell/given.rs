//! What a shell is made of: files that a command line names, or those of a test.

use super::choose::choose;
use super::signals::Signals;
use super::tools::installed_busybox;
use super::{Origin, Shell};
use crate::backend::{kvm_of_host, Choice};
use crate::cli::{ShellArgs, ShellOptions, TestShellArgs};
use crate::given::{given_files, of_input, GivenFiles, GivenKernel};
use crate::image::KernelInfo;
use crate::inputs::{check_arguments, OriginPaths};
use crate::launch::Launch;
use crate::planning::{self, Contents, Selection};
use crate::select::Shard;
use crate::session::{host, usage, SessionError};
use crate::skip::lacks;
use ktstr_model::topology::TopologySpec;
use ktstr_model::SchedulerSpec;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The machine where nothing says another one.
const TOPOLOGY: &str = "1n1l2c1t";

/// `ktstr shell`: gives the exit status.
///
/// # Errors
/// What cannot be; a machine that does not come to its shell.
pub(crate) fn shell(args: &ShellArgs) -> Result<u8, SessionError> {
    if args.inputs.snapshots.is_some() {
        return Err(usage("--snapshots: a machine with a shell boots"));
    }
    let signals = Signals::install(args.options.timeout).map_err(host)?;
    let label = args.options.topology.as_deref().unwrap_or(TOPOLOGY);
    let topology = label.parse::<TopologySpec>().and_then(|spec| spec.resolve("topology"));
    let topology = topology.map_err(|error| usage(format!("--topology: {error}")))?;
    if let Some(argument) = args.kernel_args.iter().find(|text| text.is_empty() || text.contains(char::is_whitespace)) {
        return Err(usage(format!("--kernel-arg: {argument:?} is not one argument of a kernel command line")));
    }
    let scratch = tempfile::Builder::new().prefix("ktstr-kernel-").tempdir().map_err(host)?;
    let given = GivenKernel::new(&args.kernel, args.inputs.config.as_deref(), scratch.path())?;
    let kernel = given.booted(&args.kernel_args)?;
    let GivenFiles { init, agent, emulator, scheduler } = given_files(&args.inputs);
    let busybox = match &args.busybox {
        Some(path) => path.clone(),
        None => installed_busybox(std::env::var_os("PATH").as_deref()).map_err(host)?,
    };
    let scheduler = match scheduler {
        Some(paths) => {
            let spec = SchedulerSpec { args: args.scheduler_args.clone(), ..paths.declared() };
            let plan = spec.resolve("--scheduler").map_err(usage)?;
            check_kernel(&given.info, &spec, &args.options)?;
            Some((plan, paths))
        }
        None => None,
    };
    let shell = Shell {
        topology,
        kernel_args: args.kernel_args.clone(),
        scheduler,
        origin: Origin::Boot { kernel, init },
        virtualization: false,
        release: given.info.release,
        agent,
        emulator,
        backend: Choice::new(Some(args.backend), None, &[args.options.clock], kvm_of_host),
        busybox,
        options: args.options.clone(),
        others: Vec::new(),
    };
    shell.run(&signals)
}

/// The shell of a test, whose launch file this is: gives the exit status.
///
/// # Errors
/// What cannot be; a machine that does not come to its shell.
pub(crate) fn of_test(file: &Path, program: &Path, args: &TestShellArgs) -> Result<u8, SessionError> {
    let environment = |name: &str| std::env::var_os(name);
    let signals = Signals::install(args.options.timeout).map_err(host)?;
    let launch = Launch::read(file, program, environment).map_err(host)?;
    let damaged = |what: &str| host(format!("{}: there is no {what} in it", file.display()));
    let (OriginPaths::Boot { kernel, init }, Some(busybox)) = (launch.inputs.origin, launch.tools) else {
        return Err(damaged("kernel or busybox"));
    };
    let info = launch.kernel.ok_or_else(|| damaged("kernel_info"))?;
    let spec = planning::read_spec(&launch.spec).map_err(usage)?;
    let selection = Selection { filter: None, shard: Shard::WHOLE, random_seed: 0 };
    // What a back end can do is looked at under the clock of the shell.
    let planned = planning::plan(&spec, Contents::default(), &selection, |_, _, _| Ok(())).map_err(usage)?;
    let chosen = choose(&planned.selected, args.options.topology.as_deref(), args.profile.as_deref()).map_err(usage)?;
    let plan = chosen.case.plan.scheduler.clone();
    if let Some(scheduler) = &spec.scheduler {
        check_kernel(&info, scheduler, &args.options)?;
    }
    check_arguments(&kernel, &chosen.case.kernel_args).map_err(of_input)?;
    let shell = Shell {
        topology: chosen.case.topology.clone(),
        kernel_args: chosen.case.kernel_args.clone(),
        scheduler: plan.zip(launch.inputs.scheduler),
        origin: Origin::Boot { kernel, init },
        virtualization: false,
        release: info.release.clone(),
        agent: launch.inputs.agent,
        emulator: launch.inputs.emulator,
        backend: Choice::new(None, spec.backend, &[args.options.clock], kvm_of_host),
        busybox,
        options: as_the_caller(&args.options, environment("BUILD_WORKING_DIRECTORY")),
        others: chosen.others,
    };
    shell.run(&signals)
}

/// A kernel that cannot have the scheduler attached.
fn check_kernel(kernel: &KernelInfo, scheduler: &SchedulerSpec, options: &ShellOptions) -> Result<(), SessionError> {
    match lacks(scheduler, kernel).map_err(usage)? {
        Some(reason) if !options.detached => Err(usage(format!("{reason}; --detached boots without it"))),
        _ => Ok(()),
    }
}

/// `bazel run` starts programs somewhere else; paths are meant to be those of the shell that called it.
fn as_the_caller(options: &ShellOptions, directory: Option<OsString>) -> ShellOptions {
    let directory = directory.map(PathBuf::from).unwrap_or_default();
    let files = options.files.iter().map(|(guest, file)| (guest.clone(), directory.join(file))).collect();
    ShellOptions { files, ..options.clone() }
}
