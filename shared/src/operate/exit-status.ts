/** Exit statuses of the commands that look at a daemon; 1 is a failure of the command itself, 2 a wrong command line. */
export const EXIT_OK = 0;
export const EXIT_COMMAND_FAILED = 1;
/** `status`: unhealthy. `drain`: the time given with --wait has passed. */
export const EXIT_NOT_YET = 3;
export const EXIT_NOT_RUNNING = 4;
/** As a shell reports a death by SIGINT. */
export const EXIT_INTERRUPTED = 130;
/** Of a daemon: the configuration or a credential is refused, and starting again does not help. */
export const EXIT_CONFIGURATION = 78;
