// Messages for the user.

import { currentHost } from './host.js';

export const trace = (message) => currentHost().log('trace', message);
export const debug = (message) => currentHost().log('debug', message);
export const info = (message) => currentHost().log('info', message);
export const warn = (message) => currentHost().log('warn', message);
export const error = (message) => currentHost().log('error', message);
